#include "graph/json_io.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace weft::json_io {
namespace {

using nlohmann::json;

absl::Status Expected(std::string_view where, std::string_view field, std::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(View(where), ": field '", View(field), "' must be ", View(what)));
}

}  // namespace

absl::StatusOr<json> Parse(std::string_view where, std::string_view text) {
  std::vector<std::set<std::string>> open_objects;
  std::string twice;
  const json::parser_callback_t watch = [&](int, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::object_start) open_objects.emplace_back();
    if (event == json::parse_event_t::object_end) open_objects.pop_back();
    if (event == json::parse_event_t::key && twice.empty()) {
      const std::string& key = parsed.get_ref<const std::string&>();
      if (!open_objects.back().insert(key).second) twice = key;
    }
    return true;
  };
  json value;
  try {
    value = json::parse(text.begin(), text.end(), watch);
  } catch (const json::parse_error& error) {
    return absl::InvalidArgumentError(
        absl::StrCat(View(where), ": not valid JSON at byte ", error.byte));
  } catch (const json::exception&) {
    return absl::InvalidArgumentError(absl::StrCat(View(where), ": a number is out of range"));
  }
  if (!twice.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(View(where), ": field ", Quoted(twice), " is given twice"));
  }
  return value;
}

absl::Status CheckFields(std::string_view where, const json& value,
                         std::initializer_list<std::string_view> fields) {
  const auto names = [&] {
    return absl::StrJoin(fields, ", ", [](std::string* out, std::string_view name) {
      absl::StrAppend(out, View(name));
    });
  };
  if (!value.is_object()) {
    return absl::InvalidArgumentError(
        absl::StrCat(View(where), " must be an object with the fields ", names()));
  }
  for (const auto& [key, unused] : value.items()) {
    if (std::find(fields.begin(), fields.end(), std::string_view(key)) == fields.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(View(where), ": unknown field ", Quoted(key), "; the fields are ", names()));
    }
  }
  for (const std::string_view field : fields) {
    if (!value.contains(field)) {
      return absl::InvalidArgumentError(
          absl::StrCat(View(where), ": field '", View(field), "' is missing"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckArray(std::string_view where, const json& object, const char* field) {
  return object[field].is_array() ? absl::OkStatus() : Expected(where, field, "a list");
}

absl::StatusOr<int64_t> ReadInt(std::string_view where, const json& object, const char* field,
                                int64_t min, int64_t max) {
  const json& value = object[field];
  const bool fits =
      value.is_number_integer() &&
      !(value.is_number_unsigned() && value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) &&
      value.get<int64_t>() >= min && value.get<int64_t>() <= max;
  if (!fits) return Expected(where, field, absl::StrCat("a whole number from ", min, " to ", max));
  return value.get<int64_t>();
}

absl::StatusOr<bool> ReadBool(std::string_view where, const json& object, const char* field) {
  if (!object[field].is_boolean()) return Expected(where, field, "true or false");
  return object[field].get<bool>();
}

absl::StatusOr<std::string> ReadString(std::string_view where, const json& object,
                                       const char* field) {
  if (!object[field].is_string()) return Expected(where, field, "a string");
  return object[field].get<std::string>();
}

absl::StatusOr<uint64_t> ReadHex(std::string_view where, const json& object, const char* field) {
  WEFT_ASSIGN_OR_RETURN(const std::string text, ReadString(where, object, field));
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size() || text.size() > 16) {
    return Expected(where, field, "a string of 1 to 16 hexadecimal digits");
  }
  return value;
}

bool IsNumber(const json& value) {
  return value.is_number() && std::isfinite(value.get<double>()) && value.get<double>() >= 0;
}

absl::StatusOr<double> ReadNumber(std::string_view where, const json& object, const char* field) {
  if (!IsNumber(object[field])) return Expected(where, field, "a number >= 0");
  return object[field].get<double>();
}

absl::Status CheckFormat(std::string_view where, const json& object, std::string_view format,
                         int64_t version) {
  WEFT_ASSIGN_OR_RETURN(const std::string found, ReadString(where, object, "format"));
  if (found != format) return Expected(where, "format", absl::StrCat("\"", View(format), "\""));
  return ReadInt(where, object, "version", version, version).status();
}

std::string Quoted(std::string_view text) {
  return json(std::string(text)).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string Number(double value) {
  WEFT_CHECK(std::isfinite(value), "JSON has no such number");
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof(text), value);
  WEFT_CHECK(error == std::errc(), "a double fits 32 characters");
  return std::string(text, end);
}

std::string Hex(uint64_t value) { return absl::StrFormat("\"%016x\"", value); }

}  // namespace weft::json_io
