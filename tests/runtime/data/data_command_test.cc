#include "runtime/data/data_command.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

#include "tests/runtime/test_directory.h"

namespace weft {
namespace {

TEST(DataCommand, PreparesAndDescribes) {
  const TestDirectory directory;
  const std::string text = directory.Write("a.txt", "AAAz");
  const std::vector<std::string> prepare = {"prepare",
                                            text,
                                            "--tokenizer",
                                            "bytes",
                                            "--out",
                                            directory.File("out"),
                                            "--validation_fraction",
                                            "0.25"};
  std::ostringstream first;
  ASSERT_TRUE(RunDataCommand(prepare, first).ok());
  EXPECT_NE(first.str().find("written:"), std::string::npos) << first.str();
  EXPECT_NE(first.str().find("documents 1, sequences 1, tokens 3 of type u16"), std::string::npos);
  EXPECT_NE(first.str().find("unigram 8.01"), std::string::npos);
  std::ostringstream second;
  ASSERT_TRUE(RunDataCommand(prepare, second).ok());
  EXPECT_NE(second.str().find("found in the cache:"), std::string::npos) << second.str();

  std::string prefix;
  for (const auto& entry : std::filesystem::directory_iterator(directory.File("out"))) {
    const std::string path = entry.path().string();
    if (path.ends_with("validation.idx")) prefix = path.substr(0, path.size() - 4);
  }
  std::ostringstream info;
  ASSERT_TRUE(RunDataCommand(std::vector<std::string>{"info", prefix}, info).ok());
  EXPECT_NE(info.str().find("tokens 1 of type u16"), std::string::npos) << info.str();
  EXPECT_NE(info.str().find("ids from 122 to 122"), std::string::npos) << info.str();
}

TEST(DataCommand, ExplainsItself) {
  const auto error = [](const std::vector<std::string>& args) {
    std::ostringstream out;
    const absl::Status status = RunDataCommand(args, out);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("usage: weft data prepare PATH..."), absl::string_view::npos);
    return std::string(status.message().substr(0, status.message().find('\n')));
  };
  EXPECT_EQ(error({}), "weft data needs a command");
  EXPECT_EQ(error({"shuffle"}), "unknown command 'shuffle'");
  EXPECT_EQ(error({"prepare"}), "prepare needs at least one PATH");
  EXPECT_EQ(error({"prepare", "a", "--fast"}), "unknown option --fast");
  EXPECT_EQ(error({"prepare", "a", "--out"}), "--out needs a value");
  EXPECT_EQ(error({"prepare", "a", "--validation_fraction", "x"}),
            "--validation_fraction 'x' is not a number");
  EXPECT_EQ(error({"info"}), "info needs exactly one PREFIX");
}

}  // namespace
}  // namespace weft
