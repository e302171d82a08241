#include "launch/config/yaml_tree.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

// The mistakes found in `text`, one a line.
std::string MistakesIn(std::string_view text) {
  ErrorList errors;
  ParseYaml(text, "f", /*with_marks=*/true, errors);
  return std::string(errors.ToStatus().message());
}

TEST(YamlTreeTest, KeepsOrderMarksAndQuotes) {
  ErrorList errors;
  const YamlNode root = ParseYaml("b: 1\na:\n  - x\n  - \"7\"\nc:\n", "f", true, errors);
  ASSERT_TRUE(errors.empty()) << errors.ToStatus();
  ASSERT_EQ(root.kind, YamlNode::Kind::kMap);
  ASSERT_EQ(root.entries.size(), 3u);
  EXPECT_EQ(root.entries[0].key, "b");
  EXPECT_EQ(root.entries[0].value.text, "1");
  EXPECT_EQ(root.entries[0].value.origin.ToString(), "f:1:4");
  const YamlNode& list = root.entries[1].value;
  ASSERT_EQ(list.items.size(), 2u);
  EXPECT_FALSE(list.items[0].quoted);
  EXPECT_TRUE(list.items[1].quoted);
  EXPECT_EQ(list.items[1].origin.ToString(), "f:4:5");
  EXPECT_EQ(root.entries[2].value.kind, YamlNode::Kind::kNull);
  EXPECT_EQ(root.entries[2].origin.ToString(), "f:5:1");
}

TEST(YamlTreeTest, AnEmptyTextIsNothing) {
  for (const char* text : {"", "\n", "# only a comment\n", "---\n"}) {
    ErrorList errors;
    EXPECT_EQ(ParseYaml(text, "f", true, errors).kind, YamlNode::Kind::kNull) << text;
    EXPECT_TRUE(errors.empty()) << errors.ToStatus();
  }
}

TEST(YamlTreeTest, RefusesWhatYamlAllowsAndPeopleRegret) {
  EXPECT_EQ(MistakesIn("a: 1\nb: 2\na: 3\n"), "f:3:1: duplicate key 'a' (first at line 1)");
  EXPECT_EQ(MistakesIn("a: &x 1\nb: *x\n"),
            "f:1:4: anchors (&name) are not supported; write the value out\n"
            "f:2:4: aliases (*name) are not supported; write the value out");
  EXPECT_EQ(MistakesIn("a:\n  <<: {b: 1}\n"),
            "f:2:3: merge keys (<<) are not supported; write the keys out");
  EXPECT_EQ(MistakesIn("? [a, b]\n: 1\n"), "f:1:3: a key must be a plain name");
  EXPECT_EQ(MistakesIn("a: 1\n---\nb: 2\n"),
            "f:2:1: the document has ended before this; a configuration is exactly one");
  EXPECT_EQ(MistakesIn("a: !!int 1\n"), "f:1:4: tags ('tag:yaml.org,2002:int') are not supported");
}

// Left to itself yaml-cpp reads the first of these for ever: it takes nothing off its queue at a
// comma outside brackets.
TEST(YamlTreeTest, StrayPunctuationEndsTheDocument) {
  EXPECT_EQ(MistakesIn(","),
            "f:1:1: the document has ended before this; a configuration is exactly one");
  EXPECT_NE(MistakesIn("---\n,\n"), "");
  EXPECT_NE(MistakesIn("]"), "");
  EXPECT_NE(MistakesIn("a: 1\n}\n"), "");
}

TEST(YamlTreeTest, ACyclicAliasIsNoDanger) { EXPECT_NE(MistakesIn("a: &a [*a]\n"), ""); }

TEST(YamlTreeTest, ASyntaxErrorHasAMark) {
  const std::string mistakes = MistakesIn("a: [1, 2\nb: 3\n");
  EXPECT_EQ(mistakes.rfind("f:", 0), 0u) << mistakes;
  EXPECT_NE(mistakes.find("not valid YAML"), std::string::npos) << mistakes;
}

TEST(YamlTreeTest, RefusesBadCharacters) {
  EXPECT_EQ(MistakesIn(std::string_view("a: 1\nb: \0\n", 10)), "f:2:4: control character 0x00");
  EXPECT_EQ(MistakesIn("a: 1\n\x04"
                       "b: 2\n"),
            "f:2:1: control character 0x04");  // yaml-cpp's end of input
  EXPECT_EQ(MistakesIn("a: \xff\n"), "f:1:4: this is not UTF-8 text");
  EXPECT_EQ(MistakesIn("a: \xc0\x80\n"), "f:1:4: this is not UTF-8 text");
  EXPECT_EQ(MistakesIn("a: \xe2\x82"), "f:1:4: this is not UTF-8 text");
  EXPECT_EQ(MistakesIn("a: \xed\xa0\x80"), "f:1:4: this is not UTF-8 text");
  EXPECT_EQ(MistakesIn("a: caf\xc3\xa9 \xf0\x9f\xa7\xb5\n"), "");
}

TEST(YamlTreeTest, LimitsDepthNodesAndBytes) {
  EXPECT_EQ(MistakesIn(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_EQ(MistakesIn(std::string(65, '[') + std::string(65, ']')),
            "f:1:65: nested deeper than 64 levels");
  EXPECT_NE(MistakesIn(std::string(100000, '[')).find("nested deeper than 64 levels"),
            std::string::npos);
  EXPECT_NE(MistakesIn(std::string(100000, '{')).find("nested deeper than 64 levels"),
            std::string::npos);
  std::string many = "[";
  for (int i = 0; i < kMaxConfigNodes; ++i) many += "1,";
  EXPECT_NE(MistakesIn(many + "]").find("more than 100000 values"), std::string::npos);
  EXPECT_NE(MistakesIn(std::string(kMaxConfigBytes + 1, ' ')).find("larger than 1048576 bytes"),
            std::string::npos);
}

TEST(ErrorListTest, ShowsTwentyInOrderAndCountsTheRest) {
  ErrorList errors;
  errors.Add({"command line", 0, 0}, "last");
  for (int i = 24; i > 0; --i) errors.Add({"f", i, 1}, absl::StrCat("mistake ", i));
  const std::string text(errors.ToStatus().message());
  EXPECT_EQ(text.rfind("f:6:1: mistake 6\nf:7:1: mistake 7\n", 0), 0u) << text;
  EXPECT_NE(text.find("\ncommand line: last\n... and 5 more"), std::string::npos) << text;
}

TEST(QuotedTest, FitsOnOneLineOfATerminal) {
  EXPECT_EQ(Quoted("a\nb\x1b[2J"), "'a\\nb\\x1b[2J'");
  const std::string umlauts = Quoted("x" + std::string(100, '\xc3').replace(1, 1, "\xa9"));
  EXPECT_LE(umlauts.size(), 70u);
}

}  // namespace
}  // namespace weft
