#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Strict reading and stable writing of the JSON files of this folder, used by plan_io.cc and
// profile_io.cc alone. `where` begins every message: the file and the place in it, "plan.json:
// tasks[3]". Nothing here throws.

namespace weft::json_io {

// The whole text, no key twice in one object.
absl::StatusOr<nlohmann::json> Parse(std::string_view where, std::string_view text);

// `value` is an object with exactly these fields.
absl::Status CheckFields(std::string_view where, const nlohmann::json& value,
                         std::initializer_list<std::string_view> fields);

// The readers below: REQUIRES: CheckFields has found `field` in `object`.
absl::Status CheckArray(std::string_view where, const nlohmann::json& object, const char* field);
absl::StatusOr<int64_t> ReadInt(std::string_view where, const nlohmann::json& object,
                                const char* field, int64_t min, int64_t max);
absl::StatusOr<bool> ReadBool(std::string_view where, const nlohmann::json& object,
                              const char* field);
absl::StatusOr<std::string> ReadString(std::string_view where, const nlohmann::json& object,
                                       const char* field);
// 1 to 16 hexadecimal digits in a string: JSON numbers do not carry 64 bits everywhere.
absl::StatusOr<uint64_t> ReadHex(std::string_view where, const nlohmann::json& object,
                                 const char* field);
// A finite number >= 0.
absl::StatusOr<double> ReadNumber(std::string_view where, const nlohmann::json& object,
                                  const char* field);
bool IsNumber(const nlohmann::json& value);  // finite and >= 0

// `format` and `version` of the file are these.
absl::Status CheckFormat(std::string_view where, const nlohmann::json& object,
                         std::string_view format, int64_t version);

inline absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}
std::string Quoted(
    std::string_view text);        // with the quotes; bytes that are not UTF-8 are replaced
std::string Number(double value);  // the shortest text that reads back to the same bits
std::string Hex(uint64_t value);   // 16 digits, with the quotes

}  // namespace weft::json_io
