#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "launch/config/config.h"
#include "launch/config/schema.h"

// The three texts that list every key of the schema: for people, for checkpoints, for readers of
// the reference.

namespace weft {
namespace {

constexpr size_t kColumns = 100;

size_t DepthOf(std::string_view key) { return std::count(key.begin(), key.end(), '.'); }
std::string IndentOf(std::string_view key) { return std::string(2 * DepthOf(key), ' '); }

// Walks the schema as a tree. `on_section` is called before the first key of a section, `on_field`
// for every field.
template <typename OnSection, typename OnField>
void WalkSchema(OnSection on_section, OnField on_field) {
  size_t next_section = 0;
  const std::vector<Section>& sections = Sections();
  for (const Field& field : Schema()) {
    const std::string_view parent = ParentOf(field.key);
    while (next_section < sections.size() &&
           (parent == sections[next_section].key ||
            parent.substr(0, sections[next_section].key.size() + 1) ==
                absl::StrCat(std::string(sections[next_section].key), "."))) {
      on_section(sections[next_section++]);
    }
    on_field(field);
  }
}

std::string LineOf(const Field& field, JobOptions& options) {
  return absl::StrCat(IndentOf(field.key), std::string(NameOf(field.key)), ": ",
                      FormatField(field, options));
}
std::string LineOf(const Section& section) {
  return absl::StrCat(IndentOf(section.key), std::string(NameOf(section.key)), ":");
}

// `text` as comment lines of at most kColumns columns.
std::string WrapComment(const std::string& indent, std::string_view text) {
  std::string result;
  std::string line;
  for (const absl::string_view word :
       absl::StrSplit(absl::string_view(text.data(), text.size()), ' ')) {
    if (!line.empty() && indent.size() + 2 + line.size() + 1 + word.size() > kColumns) {
      absl::StrAppend(&result, indent, "# ", line, "\n");
      line.clear();
    }
    absl::StrAppend(&line, line.empty() ? "" : " ", word);
  }
  absl::StrAppend(&result, indent, "# ", line, "\n");
  return result;
}

}  // namespace

std::string PrintConfig(const LoadedConfig& config) {
  JobOptions options = config.options;
  std::string text;
  WalkSchema([&](const Section& section) { absl::StrAppend(&text, LineOf(section), "\n"); },
             [&](const Field& field) {
               const auto found = config.origins.find(std::string(field.key));
               const std::string origin =
                   found == config.origins.end() ? "default" : found->second.ToString();
               absl::StrAppend(&text, LineOf(field, options), "  # ", origin, "\n");
             });
  return text;
}

std::string ResolvedConfig(const JobOptions& options) {
  JobOptions copy = options;
  std::string text;
  WalkSchema([&](const Section& section) { absl::StrAppend(&text, LineOf(section), "\n"); },
             [&](const Field& field) { absl::StrAppend(&text, LineOf(field, copy), "\n"); });
  return text;
}

std::string ReferenceConfig() {
  JobOptions defaults;
  std::string text = absl::StrCat(WrapComment("",
                                              "Every key of a Weft configuration, with its "
                                              "meaning, what it allows in brackets, and its "
                                              "default. A configuration names only what it wants "
                                              "to differ; docs/config.md explains the form."),
                                  WrapComment("",
                                              "Written by ReferenceConfig() from the table in "
                                              "launch/config/schema.cc; a test keeps them "
                                              "equal."),
                                  "\n");
  WalkSchema(
      [&](const Section& section) {
        const std::string indent = IndentOf(section.key);
        absl::StrAppend(&text, "\n", WrapComment(indent, section.meaning), LineOf(section), "\n");
      },
      [&](const Field& field) {
        const std::string comment =
            absl::StrCat(std::string(field.meaning), " [", AllowedValues(field), "]");
        absl::StrAppend(&text, WrapComment(IndentOf(field.key), comment), LineOf(field, defaults),
                        "\n");
      });
  return text;
}

}  // namespace weft
