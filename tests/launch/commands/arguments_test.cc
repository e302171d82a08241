#include "launch/commands/arguments.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

const ArgumentRules kRules = {
    .valued = {"--run", "-n"}, .switches = {"--json"}, .operands_follow = true};

TEST(ArgumentsTest, TakesValuesSwitchesAndOperands) {
  const auto parsed =
      ParseArguments({"--run=a=b", "--json", "-n", "4", "job.yaml", "--x", "y.z=1"}, kRules);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->value_or("--run", ""), "a=b");
  EXPECT_EQ(parsed->value_or("-n", ""), "4");
  EXPECT_EQ(parsed->value_or("--other", "otherwise"), "otherwise");
  EXPECT_TRUE(parsed->has("--json"));
  EXPECT_EQ(parsed->operands, (std::vector<std::string>{"job.yaml", "--x", "y.z=1"}));
}

TEST(ArgumentsTest, RefusesInOneSentence) {
  EXPECT_EQ(ParseArguments({"--jsn"}, kRules).status().message(),
            "unknown option '--jsn'; there are --json, --run, -n");
  EXPECT_EQ(ParseArguments({"--json=1"}, kRules).status().message(),
            "unknown option '--json'; there are --json, --run, -n");
  EXPECT_EQ(ParseArguments({"--run"}, kRules).status().message(), "option --run needs a value");
  EXPECT_EQ(ParseArguments({"--run", "a", "--run", "b"}, kRules).status().message(),
            "option --run is given twice");
  EXPECT_EQ(ParseArguments({"x"}, {.valued = {}, .switches = {"--json"}}).status().message(),
            "unexpected argument 'x'");
}

}  // namespace
}  // namespace weft
