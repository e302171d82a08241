#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "launch/commands/arguments.h"
#include "models/batch_shape.h"
#include "runtime/options.h"
#include "simulation/world_step.h"

// `weft simulate --model` where ranks are not alike: what the options ask for (--workload,
// --counts,
// --straggler, --trace-ranks), and how the answer looks as a table, JSON and a trace.

namespace weft {

struct UnlikeRanks {
  std::string load = "expected load";      // for people
  std::unique_ptr<const RoutedRows> rows;  // null: the expected load
  std::vector<Straggler> stragglers;
  std::vector<int32_t> traced_ranks;
};

struct SimulatedJob {
  const ModelSpec& spec;
  const TrainingOptions& training;
  const BatchShape& batch;
  const Topology& topology;
};

// None when nothing asks for ranks that differ. kInvalidArgument, in one sentence, for a mistake.
absl::StatusOr<std::optional<UnlikeRanks>> UnlikeRanksOf(const Arguments& arguments,
                                                         const SimulatedJob& job,
                                                         const std::vector<Straggler>& of_cluster);

// A policy's step on all ranks.
struct PolicyWorld {
  std::string policy;
  double balanced_seconds = 0;  // one rank stands for all
  WorldStep step;
};

std::string WorldTable(const UnlikeRanks& ranks, const Topology& topology,
                       const std::vector<PolicyWorld>& rows);
nlohmann::json WorldJson(const Topology& topology, const PolicyWorld& row);

// The traced ranks in one file, a process each.
absl::Status WriteWorldTrace(const std::string& path, const StepGraph& graph, const Plan& plan,
                             const Topology& topology, const UnlikeRanks& ranks,
                             const WorldStep& step);

// {"layers": [[[rows of rank 0 for expert 0, ...], ... a list a rank], ...]}: a matrix for every
// layer with experts, or one for all. kInvalidArgument, naming the file and the place, otherwise.
absl::StatusOr<std::vector<std::vector<int32_t>>> LoadCounts(const std::string& path,
                                                             const ModelSpec& spec,
                                                             int32_t world_size);

}  // namespace weft
