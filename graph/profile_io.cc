#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "graph/json_io.h"
#include "graph/profile_table.h"

namespace weft {
namespace {

using json_io::View;
using nlohmann::json;

constexpr std::string_view kFile = "profile.json";
constexpr std::string_view kFormat = "weft.profile";
constexpr int64_t kVersion = 3;

absl::StatusOr<LinearCost> ReadFit(const std::string& where, const json& value) {
  WEFT_RETURN_IF_ERROR(json_io::CheckFields(
      where, value, {"alpha", "beta", "r2", "median_relative_residual", "accepted"}));
  LinearCost fit;
  WEFT_ASSIGN_OR_RETURN(fit.alpha, json_io::ReadNumber(where, value, "alpha"));
  WEFT_ASSIGN_OR_RETURN(fit.beta, json_io::ReadNumber(where, value, "beta"));
  if (!value["r2"].is_number()) {  // negative when the line is worse than the mean
    return absl::InvalidArgumentError(absl::StrCat(where, ": field 'r2' must be a number"));
  }
  fit.r2 = value["r2"].get<double>();
  WEFT_ASSIGN_OR_RETURN(fit.median_relative_residual,
                        json_io::ReadNumber(where, value, "median_relative_residual"));
  WEFT_ASSIGN_OR_RETURN(fit.accepted, json_io::ReadBool(where, value, "accepted"));
  return fit;
}

// By stream, what each other stream adds to it.
absl::StatusOr<Contention> ReadContention(std::string_view where, const json& value) {
  WEFT_RETURN_IF_ERROR(json_io::CheckArray(where, value, "contention"));
  const json& rows = value["contention"];
  Contention contention;
  bool right = rows.size() == kNumStreams;
  for (size_t s = 0; right && s < kNumStreams; ++s) {
    right = rows[s].is_array() && rows[s].size() == kNumStreams;
    for (size_t t = 0; right && t < kNumStreams; ++t) {
      right = json_io::IsNumber(rows[s][t]);
      if (right) contention.stretch[s][t] = rows[s][t].get<double>();
    }
    right = right && contention.stretch[s][s] == 0;
  }
  if (!right) {
    return absl::InvalidArgumentError(absl::StrCat(View(where), ": field 'contention' must be ",
                                                   kNumStreams, " rows of ", kNumStreams,
                                                   " numbers >= 0 with 0 on the diagonal"));
  }
  return contention;
}

absl::StatusOr<CostEntry> ReadEntry(const std::string& where, const json& value) {
  CostEntry entry;
  WEFT_ASSIGN_OR_RETURN(entry.fit, ReadFit(absl::StrCat(where, ".fit"), value["fit"]));
  WEFT_RETURN_IF_ERROR(json_io::CheckArray(where, value, "samples"));
  for (const json& pair : value["samples"]) {
    if (!pair.is_array() || pair.size() != 2 || !json_io::IsNumber(pair[0]) ||
        !json_io::IsNumber(pair[1])) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": samples[", entry.samples.size(),
                                                     "] must be [size, seconds], both >= 0"));
    }
    const CostSample sample{pair[0].get<double>(), pair[1].get<double>()};
    if (!entry.samples.empty() && sample.size < entry.samples.back().size) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": field 'samples' must ascend by size"));
    }
    entry.samples.push_back(sample);
  }
  return entry;
}

// "[[0, 0.1, 0], [...], [...]]"
void AppendContention(std::string& text, const Contention& contention) {
  const char* separator = "[";
  for (const auto& row : contention.stretch) {
    absl::StrAppend(&text, separator, "[", json_io::Number(row[0]), ", ", json_io::Number(row[1]),
                    ", ", json_io::Number(row[2]), "]");
    separator = ", ";
  }
  absl::StrAppend(&text, "]");
}

}  // namespace

std::string ProfileToJson(const ProfileTable& table) {
  std::string text;
  absl::StrAppend(&text, "{\n  \"format\": \"", View(kFormat), "\",\n  \"version\": ", kVersion,
                  ",\n  \"machine_fingerprint\": ", json_io::Hex(table.machine_fingerprint),
                  ",\n  \"contention\": ");
  AppendContention(text, table.contention);
  absl::StrAppend(&text, ",\n  \"limited_contention\": [");
  const char* separator = "\n";
  for (const auto& [sm_limit, contention] : table.limited_contention) {
    absl::StrAppend(&text, separator, "    {\"sm_limit\": ", sm_limit, ", \"contention\": ");
    AppendContention(text, contention);
    absl::StrAppend(&text, "}");
    separator = ",\n";
  }
  absl::StrAppend(&text, table.limited_contention.empty() ? "" : "\n  ", "],\n  \"entries\": [");
  separator = "\n";
  for (const auto& [key, entry] : table.entries) {
    absl::StrAppend(
        &text, separator, "    {\"key\": \"", ToString(key),
        "\",\n     \"fit\": {\"alpha\": ", json_io::Number(entry.fit.alpha),
        ", \"beta\": ", json_io::Number(entry.fit.beta),
        ", \"r2\": ", json_io::Number(entry.fit.r2),
        ", \"median_relative_residual\": ", json_io::Number(entry.fit.median_relative_residual),
        ", \"accepted\": ", entry.fit.accepted ? "true" : "false", "},\n     \"samples\": [");
    const char* comma = "";
    for (const CostSample& sample : entry.samples) {
      absl::StrAppend(&text, comma, "[", json_io::Number(sample.size), ", ",
                      json_io::Number(sample.seconds), "]");
      comma = ", ";
    }
    absl::StrAppend(&text, "]}");
    separator = ",\n";
  }
  absl::StrAppend(&text, "\n  ]\n}\n");
  return text;
}

absl::StatusOr<ProfileTable> ProfileFromJson(std::string_view text) {
  WEFT_ASSIGN_OR_RETURN(const json file, json_io::Parse(kFile, text));
  WEFT_RETURN_IF_ERROR(json_io::CheckFields(
      kFile, file,
      {"format", "version", "machine_fingerprint", "contention", "limited_contention", "entries"}));
  WEFT_RETURN_IF_ERROR(json_io::CheckFormat(kFile, file, kFormat, kVersion));
  ProfileTable table;
  WEFT_ASSIGN_OR_RETURN(table.machine_fingerprint,
                        json_io::ReadHex(kFile, file, "machine_fingerprint"));
  WEFT_ASSIGN_OR_RETURN(table.contention, ReadContention(kFile, file));
  WEFT_RETURN_IF_ERROR(json_io::CheckArray(kFile, file, "limited_contention"));
  for (const json& value : file["limited_contention"]) {
    const std::string where =
        absl::StrCat(View(kFile), ": limited_contention[", table.limited_contention.size(), "]");
    WEFT_RETURN_IF_ERROR(json_io::CheckFields(where, value, {"sm_limit", "contention"}));
    WEFT_ASSIGN_OR_RETURN(
        const int64_t limit,
        json_io::ReadInt(where, value, "sm_limit", 1, std::numeric_limits<int32_t>::max()));
    WEFT_ASSIGN_OR_RETURN(const Contention contention, ReadContention(where, value));
    if (!table.limited_contention.emplace(static_cast<int32_t>(limit), contention).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": sm_limit ", limit, " is given twice"));
    }
  }
  WEFT_RETURN_IF_ERROR(json_io::CheckArray(kFile, file, "entries"));
  size_t index = 0;
  for (const json& value : file["entries"]) {
    const std::string where = absl::StrCat(View(kFile), ": entries[", index++, "]");
    WEFT_RETURN_IF_ERROR(json_io::CheckFields(where, value, {"key", "fit", "samples"}));
    WEFT_ASSIGN_OR_RETURN(const std::string name, json_io::ReadString(where, value, "key"));
    absl::StatusOr<CostKey> key = ParseCostKey(name);
    if (!key.ok()) return WithContext(key.status(), where);
    if (CalibrationKey(*key) != *key) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", name, " is filed under ", ToString(CalibrationKey(*key))));
    }
    WEFT_ASSIGN_OR_RETURN(CostEntry entry, ReadEntry(where, value));
    if (!table.entries.emplace(*key, std::move(entry)).second) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": ", name, " is given twice"));
    }
  }
  return table;
}

}  // namespace weft
