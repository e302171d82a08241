#include <fstream>
#include <random>
#include <sstream>

#include "gtest/gtest.h"
#include "launch/config/config.h"
#include "launch/config/schema.h"

// Whatever a file contains, loading it ends with options or with messages: no crash, no exception,
// no endless walk.

namespace weft {
namespace {

std::optional<std::string> FakeVariable(const std::string& name) {
  if (name.size() % 2 == 0) return name;
  return std::nullopt;
}

class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  std::string Mutate(std::string text) {
    const int edits = 1 + static_cast<int>(random_() % 6);
    for (int i = 0; i < edits; ++i) Edit(text);
    return text;
  }

 private:
  size_t Below(size_t limit) { return limit == 0 ? 0 : random_() % limit; }

  void Edit(std::string& text) {
    static const std::vector<std::string> pieces = {"&a ",
                                                    "*a",
                                                    "<<: ",
                                                    "- ",
                                                    "? ",
                                                    ": ",
                                                    "{",
                                                    "}",
                                                    "[",
                                                    "]",
                                                    ",",
                                                    "\n",
                                                    "  ",
                                                    "\t",
                                                    "!!",
                                                    "!",
                                                    "|\n",
                                                    ">-\n",
                                                    "'",
                                                    "\"",
                                                    "#",
                                                    "%",
                                                    "---\n",
                                                    "...\n",
                                                    "@",
                                                    "`",
                                                    "~",
                                                    "null",
                                                    "010",
                                                    "1e9",
                                                    "-1",
                                                    "y",
                                                    "\\x",
                                                    "${env:",
                                                    "${env:ab}",
                                                    "}",
                                                    "\xEF\xBB\xBF",
                                                    "\x04",

                                                    "\xff",
                                                    "%YAML 9.9\n"};
    const size_t at = Below(text.size() + 1);
    switch (random_() % 6) {
      case 0:
        text.insert(at, pieces[Below(pieces.size())]);
        break;
      case 1:
        text.erase(at, 1 + Below(20));
        break;
      case 2:
        if (!text.empty()) text[Below(text.size())] = static_cast<char>(random_() % 256);
        break;
      case 3:  // a part of the text again, somewhere else
        text.insert(at, text.substr(Below(text.size()), 1 + Below(80)));
        break;
      case 4:
        text.resize(at);
        break;
      case 5:  // the same piece many times
        for (size_t i = Below(200); i > 0; --i)
          text.insert(at, pieces[Below(2) + Below(pieces.size() - 1)]);
        break;
    }
  }

  std::mt19937_64 random_;
};

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void ExpectOptionsOrMessages(const std::string& text, const std::vector<std::string>& overrides) {
  absl::StatusOr<LoadedConfig> config = absl::UnknownError("not run");
  ASSERT_NO_THROW(config = LoadConfigText(text, "f", overrides, FakeVariable)) << text;
  if (config.ok()) {
    // What was accepted is printable and means the same when read again.
    const std::string resolved = ResolvedConfig(config->options);
    const absl::StatusOr<LoadedConfig> again = LoadConfigText(resolved, "f", {}, FakeVariable);
    ASSERT_TRUE(again.ok()) << again.status() << "\n" << resolved;
    EXPECT_EQ(ResolvedConfig(again->options), resolved);
  } else {
    EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_FALSE(config.status().message().empty());
    EXPECT_LT(config.status().message().size(), 40000u);
  }
}

TEST(MutationTest, BrokenFilesGiveMessages) {
  const std::string short_text = ReadText("configs/quickstart.yaml");
  const std::string long_text = ReadText("configs/reference.yaml");
  ASSERT_FALSE(short_text.empty());
  ASSERT_FALSE(long_text.empty());
  Mutator mutator(20240501);
  for (int i = 0; i < 4000; ++i) {
    ExpectOptionsOrMessages(mutator.Mutate(i % 8 == 0 ? long_text : short_text), {});
    if (HasFatalFailure()) return;
  }
}

TEST(MutationTest, BrokenOverridesGiveMessages) {
  Mutator mutator(77);
  for (int i = 0; i < 3000; ++i) {
    const Field& field = Schema()[static_cast<size_t>(i) % Schema().size()];
    JobOptions defaults;
    std::string text(field.key);
    text.append("=").append(FormatField(field, defaults));
    ExpectOptionsOrMessages("", {mutator.Mutate(text)});
    if (HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace weft
