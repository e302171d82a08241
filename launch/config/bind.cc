#include "launch/config/bind.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "launch/config/schema.h"
#include "launch/config/substitute.h"
#include "launch/config/suggest.h"

namespace weft {
namespace {

absl::Status Expected(const Field& field, std::string_view key, const std::string& value,
                      std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(std::string(key), " = ", value, ": expected ",
                                                 std::string(what), " (", AllowedElements(field),
                                                 ")"));
}

absl::Status NotAllowed(const Field& field, std::string_view key, const std::string& value) {
  return absl::InvalidArgumentError(
      absl::StrCat(std::string(key), " = ", value, ": must be ", AllowedElements(field)));
}

absl::Status NoChoice(const Field& field, std::string_view key, std::string_view text) {
  constexpr size_t kShortWord = 4;  // is near too many others
  const std::string_view nearest =
      text.size() > kShortWord ? NearestWord(text, field.choices) : std::string_view();
  const std::string hint =
      nearest.empty() ? "" : absl::StrCat(" (did you mean '", std::string(nearest), "'?)");
  return NotAllowed(field, key, absl::StrCat(Quoted(text), hint));
}

bool InRange(double value, const Range& range) {
  return std::isfinite(value) && (range.above_min ? value > range.min : value >= range.min) &&
         (range.below_max ? value < range.max : value <= range.max);
}

bool IsFileName(std::string_view text) {
  if (text.empty() || text.size() > 64 || text[0] == '.' || text[0] == '-') return false;
  return text.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
         std::string_view::npos;
}

bool HasControlCharacter(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return true;
  }
  return false;
}

// Reads one node as one field. One overload for each alternative of Slot; `key` names the field or
// the list's element.
class Reader {
 public:
  Reader(const Field& field, const Environment& environment)
      : field_(field), environment_(environment) {}

  absl::Status Read(std::string_view key, const YamlNode& node, bool* out) const {
    WEFT_ASSIGN_OR_RETURN(const std::string text, PlainText(key, node, "true or false"));
    if (text != "true" && text != "false") return Expected(field_, key, Quoted(text), "a boolean");
    *out = text == "true";
    return absl::OkStatus();
  }

  absl::Status Read(std::string_view key, const YamlNode& node, int32_t* out) const {
    return ReadInteger(key, node, out);
  }
  absl::Status Read(std::string_view key, const YamlNode& node, uint64_t* out) const {
    return ReadInteger(key, node, out);
  }

  absl::Status Read(std::string_view key, const YamlNode& node, double* out) const {
    const std::string_view what =
        field_.unit == Unit::kSeconds          ? "a duration such as 30s, 1.5ms or 0.5"
        : field_.unit == Unit::kBytesPerSecond ? "a rate such as 200MB/s, 1Gbit/s or 2e8"
                                               : "a number such as 3, 0.5 or 1e-3";
    WEFT_ASSIGN_OR_RETURN(const std::string text, PlainText(key, node, what));
    const std::optional<double> value = ParseQuantity(text, field_.unit);
    if (!value.has_value()) return Expected(field_, key, Quoted(text), what);
    if (!InRange(*value, field_.range)) return NotAllowed(field_, key, Quoted(text));
    *out = *value;
    return absl::OkStatus();
  }

  absl::Status Read(std::string_view key, const YamlNode& node, std::string* out) const {
    WEFT_ASSIGN_OR_RETURN(const Scalar scalar, ReadScalar(key, node, "a text"));
    const std::string& text = scalar.text;
    if (HasControlCharacter(text))
      return Expected(field_, key, Quoted(text), "a text without control characters");
    if (!field_.choices.empty()) {
      for (const std::string_view choice : field_.choices) {
        if (text == choice) {
          *out = text;
          return absl::OkStatus();
        }
      }
      return NoChoice(field_, key, text);
    }
    if (field_.text == TextRule::kNotEmpty && text.empty())
      return NotAllowed(field_, key, Quoted(text));
    if (field_.text == TextRule::kFileName && !IsFileName(text))
      return NotAllowed(field_, key, Quoted(text));
    *out = text;
    return absl::OkStatus();
  }

  absl::Status Read(std::string_view key, const YamlNode& node,
                    std::vector<std::string>* out) const {
    return ReadList(key, node, out);
  }
  absl::Status Read(std::string_view key, const YamlNode& node, std::vector<int32_t>* out) const {
    return ReadList(key, node, out);
  }

  absl::Status Read(std::string_view key, const YamlNode& node, Backbone* out) const {
    return ReadEnum(key, node, out);
  }
  absl::Status Read(std::string_view key, const YamlNode& node, Precision* out) const {
    return ReadEnum(key, node, out);
  }
  absl::Status Read(std::string_view key, const YamlNode& node, CapacityMode* out) const {
    return ReadEnum(key, node, out);
  }
  absl::Status Read(std::string_view key, const YamlNode& node, Routing* out) const {
    return ReadEnum(key, node, out);
  }
  absl::Status Read(std::string_view key, const YamlNode& node, Workload* out) const {
    return ReadEnum(key, node, out);
  }

 private:
  struct Scalar {
    std::string text;
    bool quoted = false;
  };

  absl::StatusOr<Scalar> ReadScalar(std::string_view key, const YamlNode& node,
                                    std::string_view what) const {
    switch (node.kind) {
      case YamlNode::Kind::kNull:
        return Expected(field_, key, "nothing", what);
      case YamlNode::Kind::kSequence:
        return Expected(field_, key, "a list", what);
      case YamlNode::Kind::kMap:
        return Expected(field_, key, "a block of keys", what);
      case YamlNode::Kind::kScalar:
        break;
    }
    absl::StatusOr<std::string> replaced = Substitute(node.text, environment_);
    if (!replaced.ok()) return WithContext(replaced.status(), std::string(key));
    // What an environment variable gave may be a number although "${...}" had to be quoted.
    const bool quoted = node.quoted && *replaced == node.text;
    return Scalar{*std::move(replaced), quoted};
  }

  // For everything but texts: quotes make a value a text.
  absl::StatusOr<std::string> PlainText(std::string_view key, const YamlNode& node,
                                        std::string_view what) const {
    WEFT_ASSIGN_OR_RETURN(Scalar scalar, ReadScalar(key, node, what));
    if (scalar.quoted) {
      return Expected(field_, key, absl::StrCat("quoted text ", Quoted(scalar.text)), what);
    }
    return std::move(scalar.text);
  }

  template <typename T>
  absl::Status ReadInteger(std::string_view key, const YamlNode& node, T* out) const {
    constexpr std::string_view kWhat = "a whole number in decimal digits";
    WEFT_ASSIGN_OR_RETURN(const std::string text, PlainText(key, node, kWhat));
    const std::optional<absl::int128> value = ParseInteger(text);
    if (!value.has_value()) return Expected(field_, key, Quoted(text), kWhat);
    if (*value < std::numeric_limits<T>::min() || *value > std::numeric_limits<T>::max() ||
        !InRange(static_cast<double>(*value), field_.range)) {
      return NotAllowed(field_, key, Quoted(text));
    }
    *out = static_cast<T>(*value);
    return absl::OkStatus();
  }

  template <typename T>
  absl::Status ReadList(std::string_view key, const YamlNode& node, std::vector<T>* out) const {
    if (node.kind != YamlNode::Kind::kSequence) {
      const std::string found = node.kind == YamlNode::Kind::kScalar ? Quoted(node.text)
                                : node.kind == YamlNode::Kind::kNull ? "nothing"
                                                                     : "a block of keys";
      return absl::InvalidArgumentError(absl::StrCat(
          std::string(key), " = ", found, ": expected a list such as [a, b]; each element must be ",
          AllowedElements(field_)));
    }
    std::vector<T> values(node.items.size());
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string element = absl::StrCat(std::string(key), "[", i, "]");
      WEFT_RETURN_IF_ERROR(Read(element, node.items[i], &values[i]));
    }
    *out = std::move(values);
    return absl::OkStatus();
  }

  template <typename E>
  absl::Status ReadEnum(std::string_view key, const YamlNode& node, E* out) const {
    std::string name;
    WEFT_RETURN_IF_ERROR(Read(key, node, &name));
    for (size_t i = 0; i < field_.choices.size(); ++i) {
      if (name == field_.choices[i]) *out = static_cast<E>(i);
    }
    return absl::OkStatus();
  }

  const Field& field_;
  const Environment& environment_;
};

std::string Join(std::string_view section, std::string_view name) {
  return section.empty() ? std::string(name)
                         : absl::StrCat(std::string(section), ".", std::string(name));
}

}  // namespace

void Binder::BindSection(std::string_view section, const YamlNode& map) {
  if (map.kind == YamlNode::Kind::kNull) return;
  if (map.kind != YamlNode::Kind::kMap) {
    const std::string where = section.empty() ? "a configuration" : std::string(section);
    errors_.Add(map.origin,
                absl::StrCat(where, ": expected a block of keys (",
                             section.empty() ? "top level" : "section", " with keys such as '",
                             std::string(NamesIn(section).front()), "')"));
    return;
  }
  for (const YamlEntry& entry : map.entries) {
    const std::string key = Join(section, entry.key);
    const bool dotted =
        entry.key.find('.') != std::string::npos;  // must not reach into another section
    if (!dotted && (FindField(key) != nullptr || FindSection(key) != nullptr)) {
      BindKey(key, entry.value);
    } else {
      ReportUnknownKey(entry.origin, section, entry.key);
    }
  }
}

void Binder::BindKey(std::string_view key, const YamlNode& value) {
  const Field* const field = FindField(key);
  if (field == nullptr) {
    BindSection(key, value);
    return;
  }
  const Reader reader(*field, environment_);
  const absl::Status status = std::visit(
      [&](auto slot) { return reader.Read(key, value, slot(config_.options)); }, field->slot);
  if (status.ok()) {
    config_.origins[std::string(key)] = value.origin;
  } else {
    errors_.Add(value.origin, std::string(status.message()));
  }
}

void Binder::BindOverride(const std::string& text) {
  const Origin where{"command line", 0, 0};
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    errors_.Add(where,
                absl::StrCat(Quoted(text),
                             " is not an override; write key=value, as in training.steps=100"));
    return;
  }
  if (text.size() > kMaxConfigBytes) {
    errors_.Add(where, absl::StrCat("an override is larger than ", kMaxConfigBytes, " bytes"));
    return;
  }
  if (!CheckCharacters(text, where.source, /*with_marks=*/false, errors_)) return;
  const std::string key = text.substr(0, equals);
  const std::string value = text.substr(equals + 1);

  // The first part of the path that does not exist is the one to name.
  for (size_t end = key.find('.'); end != std::string::npos; end = key.find('.', end + 1)) {
    const std::string part = key.substr(0, end);
    if (FindField(part) != nullptr) {
      errors_.Add(where, absl::StrCat(Quoted(key), ": ", part, " is a value and has no keys"));
      return;
    }
    if (FindSection(part) == nullptr) {
      ReportUnknownKey(where, ParentOf(part), NameOf(part));
      return;
    }
  }
  if (FindField(key) == nullptr && FindSection(key) == nullptr) {
    ReportUnknownKey(where, ParentOf(key), NameOf(key));
    return;
  }

  YamlNode node;
  if (!value.empty() && std::string_view("[{\"'").find(value[0]) != std::string_view::npos) {
    ErrorList mistakes;
    node = ParseYaml(value, where.source, /*with_marks=*/false, mistakes);
    if (!mistakes.empty()) {
      errors_.Add(where, absl::StrCat(key, " = ", Quoted(value),
                                      ": not a valid YAML value; lists are written [a, b]"));
      return;
    }
  } else {
    node.kind = YamlNode::Kind::kScalar;
    node.origin = where;
    node.text = value;
  }
  BindKey(key, node);
}

void Binder::ReportUnknownKey(const Origin& where, std::string_view section,
                              std::string_view name) {
  if (errors_.full()) {
    errors_.Add(where, "");
    return;
  }
  const std::vector<std::string_view> known = NamesIn(section);
  std::string hint;
  if (const std::string_view nearest = NearestWord(name, known); !nearest.empty()) {
    hint = absl::StrCat("did you mean '", std::string(nearest), "'?");
  } else {
    for (const Field& field : Schema()) {
      if (NameOf(field.key) == name || field.key == name) {
        hint = absl::StrCat("did you mean '", std::string(field.key), "'? Keys are nested");
        break;
      }
    }
  }
  if (hint.empty()) {
    hint = absl::StrCat("known keys: ",
                        absl::StrJoin(known, ", ", [](std::string* out, std::string_view word) {
                          out->append(word);
                        }));
  }
  const std::string place =
      section.empty() ? "at the top level" : absl::StrCat("in ", std::string(section));
  errors_.Add(where, absl::StrCat("unknown key ", Quoted(name), " ", place, " (", hint, ")"));
}

}  // namespace weft
