#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "runtime/trainer.h"
#include "tests/runtime/inproc_coordination.h"
#include "tests/runtime/test_directory.h"
#include "tests/support/spawn_ranks.h"

namespace weft {

// A whole job (runtime/trainer.h) on threads: four ranks on two nodes, a tiny model, a text that
// the test writes.
struct TrainingJob {
  JobOptions options;
  Topology topology{4, 2};
  Layout layout{1, 2, 2};
  ComputeDevice* device = nullptr;  // null: the CPU
  DecorateBackend decorate;
  // Of a rank whose decorated backend is also of that device's memory; null: `device`.
  std::function<ComputeDevice*(Backend& backend)> own_device = nullptr;
  InprocCoordination* coordination = nullptr;  // null: a quiet one
  std::string run_directory;                   // empty: a fresh one
  bool resume = false;
  std::function<bool(int32_t rank)> stop_requested = [](int32_t) { return false; };
  std::function<std::string(int32_t rank)> config_text = [](int32_t) { return "config"; };

  // `directory` holds the text, the cache and the runs.
  explicit TrainingJob(const TestDirectory& directory);

  StepGraph Graph() const;
  // A valid plan that nobody chose: cut and issued in another way for every `variant`.
  ProposedPlan Proposal(int64_t epoch, int32_t variant) const;
};

// Two nodes of two ranks behind emulated links, fast ones.
std::unique_ptr<Backend> BehindNodeLinks(std::unique_ptr<Backend> inner);

struct TrainingResult {
  JobSummary summary;  // rank 0's
  RunDirectory run = RunDirectory::At("");

  std::string Read(std::string_view file) const;
  nlohmann::json Json(std::string_view file) const;
  // The lines of metrics.jsonl that have this field.
  std::vector<nlohmann::json> Metrics(std::string_view field) const;
  // That field of those lines.
  std::vector<double> Series(std::string_view field) const;
};

absl::StatusOr<TrainingResult> RunTrainingJob(const TrainingJob& job);

}  // namespace weft
