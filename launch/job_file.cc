#include "launch/job_file.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/run_directory.h"
#include "runtime/storage/durable_file.h"

namespace weft {
namespace {

constexpr char kName[] = "job.json";

std::string TextOf(const JobShape& s) {
  const nlohmann::ordered_json json = {{"world_size", s.topology.world_size},
                                       {"ranks_per_node", s.topology.ranks_per_node},
                                       {"edp", s.layout.edp},
                                       {"ep", s.layout.ep},
                                       {"esp", s.layout.esp},
                                       {"mp", s.layout.mp},
                                       {"zero_stage", s.layout.zero_stage}};
  return json.dump(2) + "\n";
}

}  // namespace

absl::Status WriteJobFile(const std::string& run_directory, const JobShape& shape) {
  return RunDirectory::At(run_directory).Write(kName, TextOf(shape));
}

absl::StatusOr<JobShape> LoadJobFile(const std::string& run_directory) {
  const std::string path = RunDirectory::At(run_directory).Join(kName);
  WEFT_ASSIGN_OR_RETURN(const std::string text, LoadFile(path));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  JobShape shape;
  const std::pair<const char*, int32_t*> fields[] = {
      {"world_size", &shape.topology.world_size},
      {"ranks_per_node", &shape.topology.ranks_per_node},
      {"edp", &shape.layout.edp},
      {"ep", &shape.layout.ep},
      {"esp", &shape.layout.esp},
      {"mp", &shape.layout.mp},
      {"zero_stage", &shape.layout.zero_stage}};
  for (const auto& [key, into] : fields) {
    // Runs from before there was MP or ZeRO do not name it.
    const bool stage = into == &shape.layout.zero_stage;
    const bool newer = stage || into == &shape.layout.mp;
    if (newer && json.is_object() && !json.contains(key)) continue;
    const int32_t least = stage ? 0 : 1;
    const int32_t most = stage ? 1 : 1'000'000;
    if (!json.is_object() || !json.contains(key) || !json[key].is_number_unsigned() ||
        json[key] < least || json[key] > most) {
      return absl::DataLossError(
          absl::StrCat(path, ": '", key, "' must be a number from ", least, " to ", most));
    }
    *into = json[key].get<int32_t>();
  }
  return shape;
}

absl::Status CheckJobFile(const std::string& run_directory, const JobShape& shape) {
  WEFT_ASSIGN_OR_RETURN(const JobShape saved, LoadJobFile(run_directory));
  if (TextOf(saved) == TextOf(shape)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(run_directory, " was a run of ", saved.topology.world_size,
                   " ranks (ranks_per_node ", saved.topology.ranks_per_node, ", expert_parallel ",
                   saved.layout.ep, ", expert_sharding ", saved.layout.esp, ", tensor_parallel ",
                   saved.layout.mp, ", zero_stage ", saved.layout.zero_stage,
                   "); it can be resumed on the same layout only: weft resume ", run_directory));
}

}  // namespace weft
