#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "launch/simulate_world.h"
#include "runtime/storage/durable_file.h"

namespace weft {
namespace {

constexpr int64_t kMostRows = 1 << 30;

}  // namespace

absl::StatusOr<std::vector<std::vector<int32_t>>> LoadCounts(const std::string& path,
                                                             const ModelSpec& spec,
                                                             int32_t world_size) {
  WEFT_ASSIGN_OR_RETURN(const std::string text, LoadFile(path));
  const auto bad = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
  };
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("layers") || !json["layers"].is_array()) {
    return bad("expected JSON with a list 'layers' of matrices [rank][expert]");
  }
  const auto layers = static_cast<size_t>(spec.num_layers / spec.moe.every);
  if (json["layers"].size() != 1 && json["layers"].size() != layers) {
    return bad(absl::StrCat("'layers' must have 1 matrix or one for each of ", layers,
                            " layers with experts, not ", json["layers"].size()));
  }
  std::vector<std::vector<int32_t>> matrices;
  for (const nlohmann::json& matrix : json["layers"]) {
    const std::string place = absl::StrCat("layers[", matrices.size(), "]");
    if (!matrix.is_array() || matrix.size() != static_cast<size_t>(world_size)) {
      return bad(absl::StrCat(place, " must be a list of ", world_size, " ranks"));
    }
    std::vector<int32_t>& rows = matrices.emplace_back();
    for (const nlohmann::json& rank : matrix) {
      const bool fits =
          rank.is_array() && static_cast<int32_t>(rank.size()) == spec.moe.num_experts;
      if (!fits) {
        return bad(absl::StrCat(place, ": every rank must be a list of ", spec.moe.num_experts,
                                " experts' rows"));
      }
      for (const nlohmann::json& count : rank) {
        if (!count.is_number_unsigned() || count > kMostRows) {
          return bad(absl::StrCat(place, ": rows must be whole numbers from 0 to ", kMostRows));
        }
        rows.push_back(count.get<int32_t>());
      }
    }
  }
  return matrices;
}

}  // namespace weft
