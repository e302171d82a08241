#include <algorithm>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "launch/config/cluster_file.h"
#include "launch/simulate_modes.h"
#include "simulation/grid_study.h"

namespace weft {
namespace {

constexpr char kGrid[] = "fsmoe-1458";
constexpr int32_t kLayerSearch = 12'000;  // simulated tasks a layer of the search may take

std::string Table(const std::vector<std::string>& policies,
                  const std::map<std::string, PolicyResult>& results) {
  std::string text = absl::StrFormat("%-16s %8s %8s %8s %10s %12s\n", "policy", "speed-up", "p10",
                                     "p90", "over bound", "planning");
  for (const std::string& policy : policies) {
    const PolicyResult& result = results.at(policy);
    absl::StrAppendFormat(&text, "%-16s %8.3f %8.3f %8.3f %10.3f %12s\n", policy,
                          result.mean_speedup, result.p10_speedup, result.p90_speedup,
                          result.mean_over_bound,
                          absl::StrCat(FormatSeconds(result.seconds_per_layer), "/layer"));
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> SimulateGrid(const Arguments& arguments) {
  const std::string grid_name = arguments.value_or("--grid", "");
  if (grid_name != kGrid) {
    return absl::InvalidArgumentError(
        absl::StrCat("--grid '", grid_name, "' is not known; use ", kGrid));
  }
  GridStudyOptions options;
  if (!absl::SimpleAtoi(arguments.value_or("--layers", "1"), &options.layers) ||
      options.layers < 1 || options.layers > 1024) {
    return absl::InvalidArgumentError("--layers must be a whole number from 1 to 1024");
  }
  WEFT_ASSIGN_OR_RETURN(options.policies, PoliciesOf(arguments));
  for (int32_t degree = 1; degree <= 16; ++degree) options.degrees.push_back(degree);
  options.search_tasks = int64_t{kLayerSearch} * options.layers;
  options.threads = static_cast<int32_t>(std::max(1u, std::thread::hardware_concurrency()));
  WEFT_ASSIGN_OR_RETURN(const ClusterFile file,
                        LoadClusterFile(arguments.value_or("--cluster", "")));
  const std::vector<GridLayer> grid = FsmoeGrid(file.grid_lengths);
  WEFT_ASSIGN_OR_RETURN(const auto results, StudyGrid(grid, file.cluster, options));

  std::vector<std::string> policies = options.policies;
  if (std::find(policies.begin(), policies.end(), "tutel") == policies.end()) {
    policies.insert(policies.begin(), "tutel");
  }
  if (!arguments.has("--json")) return Table(policies, results);
  nlohmann::json json;
  int32_t count = 0;
  for (const GridLayer& layer : grid) count += layer.copies;
  json["grid"] = kGrid;
  json["cluster"] = file.cluster.name;
  json["cases"] = count;
  json["layers"] = options.layers;
  double slowest = 0;
  for (const auto& [policy, result] : results) {
    json["policies"][policy] = {{"mean_speedup", result.mean_speedup},
                                {"p10_speedup", result.p10_speedup},
                                {"p90_speedup", result.p90_speedup},
                                {"mean_over_bound", result.mean_over_bound},
                                {"seconds_per_layer", result.seconds_per_layer}};
    slowest = std::max(slowest, result.seconds_per_layer);
  }
  json["seconds_per_layer"] = slowest;
  return absl::StrCat(json.dump(2), "\n");
}

}  // namespace weft
