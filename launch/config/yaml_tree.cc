#include "launch/config/yaml_tree.h"

#include <algorithm>
#include <exception>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/exceptions.h"
#include "yaml-cpp/mark.h"
#include "yaml-cpp/parser.h"

namespace weft {
namespace {

// The length of the UTF-8 sequence at the front of `text`, or 0 when there is none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and what lies above U+10FFFF.
  if (lead == 0xE0 && byte(1) < 0xA0) return 0;
  if (lead == 0xED && byte(1) > 0x9F) return 0;
  if (lead == 0xF0 && byte(1) < 0x90) return 0;
  if (lead == 0xF4 && byte(1) > 0x8F) return 0;
  return length;
}

// Receives yaml-cpp's events and grows the tree. After a limit has been passed it ignores the rest.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(const std::string& source, bool with_marks, ErrorList& errors)
      : source_(source), with_marks_(with_marks), errors_(errors) {}

  Origin OriginAt(const YAML::Mark& mark) const {
    if (!with_marks_ || mark.is_null()) return {source_, 0, 0};
    return {source_, mark.line + 1, mark.column + 1};
  }
  bool limit_passed() const { return limit_passed_; }
  // Also true after a second document: yaml-cpp may never come to the end of a text that has more.
  bool done() const { return limit_passed_ || documents_ > 1; }
  YamlNode TakeRoot() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ == 2) {
      errors_.Add(OriginAt(mark),
                  "the document has ended before this; a configuration is exactly one");
    }
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    YamlNode node;
    if (Begin(mark, "", anchor, node)) Attach(std::move(node));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    YamlNode node;
    if (!Begin(mark, "", 0, node)) return;
    errors_.Add(node.origin, "aliases (*name) are not supported; write the value out");
    Attach(std::move(node));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node;
    if (!Begin(mark, tag, anchor, node)) return;
    node.kind = YamlNode::Kind::kScalar;
    node.text = value;
    node.quoted = tag == "!";
    Attach(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, YamlNode::Kind::kMap);
  }
  void OnMapEnd() override { Close(); }

 private:
  // A sequence or map that is still being filled.
  struct Frame {
    YamlNode node;
    bool has_key = false;     // kMap: a key waits for its value
    bool drop_value = false;  // ... which is not wanted, because the key was a mistake
    std::string key;
    Origin key_origin;
    std::map<std::string, int> first_lines;  // of the keys seen
  };

  // What all nodes share. False: the node is to be ignored.
  bool Begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YamlNode& node) {
    if (done()) return false;
    node.origin = OriginAt(mark);
    if (++nodes_ > kMaxConfigNodes) {
      limit_passed_ = true;
      errors_.Add(node.origin,
                  absl::StrCat("more than ", kMaxConfigNodes, " values; is this the right file?"));
      return false;
    }
    if (anchor != 0)
      errors_.Add(node.origin, "anchors (&name) are not supported; write the value out");
    if (!tag.empty() && tag != "?" && tag != "!") {
      errors_.Add(node.origin, absl::StrCat("tags (", Quoted(tag), ") are not supported"));
    }
    return true;
  }

  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    Frame frame;
    if (!Begin(mark, tag, anchor, frame.node)) return;
    if (static_cast<int>(stack_.size()) >= kMaxConfigDepth) {
      limit_passed_ = true;
      errors_.Add(frame.node.origin,
                  absl::StrCat("nested deeper than ", kMaxConfigDepth, " levels"));
      return;
    }
    frame.node.kind = kind;
    stack_.push_back(std::move(frame));
  }

  void Close() {
    if (done() || stack_.empty()) return;
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    Attach(std::move(node));
  }

  // Hands a finished node to its parent.
  void Attach(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& parent = stack_.back();
    if (parent.node.kind == YamlNode::Kind::kSequence) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      TakeKey(parent, node);
    } else {
      parent.has_key = false;
      if (!parent.drop_value) {
        parent.node.entries.push_back({std::move(parent.key), parent.key_origin, std::move(node)});
      }
    }
  }

  void TakeKey(Frame& parent, YamlNode& node) {
    parent.has_key = true;
    parent.drop_value = true;
    parent.key_origin = node.origin;
    if (node.kind != YamlNode::Kind::kScalar) {
      errors_.Add(node.origin, "a key must be a plain name");
      return;
    }
    if (node.text == "<<") {
      errors_.Add(node.origin, "merge keys (<<) are not supported; write the keys out");
      return;
    }
    const auto [seen, is_new] = parent.first_lines.emplace(node.text, node.origin.line);
    if (!is_new) {
      const std::string first =
          seen->second > 0 ? absl::StrCat(" (first at line ", seen->second, ")") : "";
      errors_.Add(node.origin, absl::StrCat("duplicate key ", Quoted(node.text), first));
      return;
    }
    parent.key = std::move(node.text);
    parent.drop_value = false;
  }

  const std::string& source_;
  const bool with_marks_;
  ErrorList& errors_;
  std::vector<Frame> stack_;
  YamlNode root_;
  int nodes_ = 0;
  int documents_ = 0;
  bool limit_passed_ = false;
};

}  // namespace

bool CheckCharacters(std::string_view text, const std::string& source, bool with_marks,
                     ErrorList& errors) {
  Origin where{source, with_marks ? 1 : 0, with_marks ? 1 : 0};
  while (!text.empty()) {
    const auto lead = static_cast<unsigned char>(text.front());
    const size_t length = Utf8Length(text);
    if (length == 0) {
      errors.Add(where, "this is not UTF-8 text");
      return false;
    }
    if ((lead < 0x20 && lead != '\t' && lead != '\n' && lead != '\r') || lead == 0x7F) {
      errors.Add(where, absl::StrFormat("control character 0x%02X", lead));
      return false;
    }
    if (with_marks && lead == '\n') {
      ++where.line;
      where.column = 1;
    } else if (with_marks) {
      ++where.column;
    }
    text.remove_prefix(length);
  }
  return true;
}

YamlNode ParseYaml(std::string_view text, const std::string& source, bool with_marks,
                   ErrorList& errors) {
  if (text.size() > kMaxConfigBytes) {
    errors.Add({source, 0, 0},
               absl::StrCat("larger than ", kMaxConfigBytes, " bytes; is this the right file?"));
    return {};
  }
  if (!CheckCharacters(text, source, with_marks, errors)) return {};
  TreeBuilder builder(source, with_marks, errors);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (!builder.done() && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& e) {
    // yaml-cpp's own depth guard fires after ours.
    if (!builder.limit_passed())
      errors.Add(builder.OriginAt(e.mark), absl::StrCat("not valid YAML: ", e.msg));
  } catch (const std::exception& e) {
    errors.Add({source, 0, 0}, absl::StrCat("not readable as YAML: ", e.what()));
  }
  return builder.TakeRoot();
}

}  // namespace weft
