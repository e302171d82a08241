#include "launch/config/substitute.h"

#include "gtest/gtest.h"

namespace weft {
namespace {

std::optional<std::string> FakeVariable(const std::string& name) {
  if (name == "STEPS") return "12";
  if (name == "EMPTY") return "";
  if (name == "TRICK") return "${env:STEPS}";
  return std::nullopt;
}

std::string Replaced(std::string_view text) {
  const absl::StatusOr<std::string> result = Substitute(text, FakeVariable);
  return result.ok() ? *result : "error: " + std::string(result.status().message());
}

TEST(SubstituteTest, ReplacesVariablesAndDefaults) {
  EXPECT_EQ(Replaced("plain $x {y}"), "plain $x {y}");
  EXPECT_EQ(Replaced("${env:STEPS}"), "12");
  EXPECT_EQ(Replaced("a${env:STEPS}b${env:NONE:-c}d"), "a12bcd");
  EXPECT_EQ(Replaced("${env:EMPTY}|${env:EMPTY:-x}|${env:NONE:-}|${env:STEPS:-x}"), "|x||12");
  EXPECT_EQ(Replaced("${env:TRICK}"), "${env:STEPS}");  // once, not again
}

TEST(SubstituteTest, EscapesALiteral) {
  EXPECT_EQ(Replaced("$${env:STEPS}"), "${env:STEPS}");
  for (const char* text : {"", "$", "${", "$${x}", "a${env:STEPS}", "$$${", "x$"}) {
    EXPECT_EQ(Replaced(EscapeSubstitutions(text)), text);
  }
}

TEST(SubstituteTest, NamesWhatIsWrong) {
  EXPECT_EQ(
      Replaced("${env:NONE}"),
      "error: environment variable 'NONE' is not set; write ${env:NONE:-value} to give a default");
  for (const char* text :
       {"${HOME}", "${env:}", "${env:1A}", "${env:A B}", "${}", "${ENV:STEPS}"}) {
    EXPECT_NE(Replaced(text).find("the forms are ${env:NAME}"), std::string::npos) << text;
  }
  EXPECT_NE(Replaced("x ${env:STEPS").find("no '}' ends"), std::string::npos);
}

}  // namespace
}  // namespace weft
