#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launch/config/errors.h"

// One YAML document as a plain tree with marks. Stricter than YAML: anchors, aliases, merge keys,
// explicit tags, duplicate keys, keys that are not plain names, control characters, several
// documents, and texts above the limits are mistakes. The only file that knows yaml-cpp is
// yaml_tree.cc.

namespace weft {

inline constexpr size_t kMaxConfigBytes = size_t{1} << 20;
inline constexpr int kMaxConfigDepth = 64;
inline constexpr int kMaxConfigNodes = 100000;

struct YamlEntry;

struct YamlNode {
  enum class Kind { kNull, kScalar, kSequence, kMap };
  Kind kind = Kind::kNull;
  Origin origin;
  std::string text;                // kScalar
  bool quoted = false;             // kScalar: certainly text, never a number or a boolean
  std::vector<YamlNode> items;     // kSequence
  std::vector<YamlEntry> entries;  // kMap, in the order of the text; keys are unique
};

struct YamlEntry {
  std::string key;
  Origin origin;  // of the key
  YamlNode value;
};

// An empty text is a kNull root. Every mistake is added to `errors`; the tree holds what could be
// read in spite of them. Never throws; time and memory are linear in the text. `source` is the
// origin of all nodes; without `with_marks` (text of the command line) they carry no line.
YamlNode ParseYaml(std::string_view text, const std::string& source, bool with_marks,
                   ErrorList& errors);

// Adds a mistake and returns false unless `text` is UTF-8 without control characters other than tab
// and line breaks.
bool CheckCharacters(std::string_view text, const std::string& source, bool with_marks,
                     ErrorList& errors);

}  // namespace weft
