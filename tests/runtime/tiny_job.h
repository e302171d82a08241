#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/config.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/all_to_all_algorithm.h"
#include "comm/backend.h"
#include "graph/plan.h"
#include "runtime/worker.h"

namespace weft {

// Some steps of a tiny model on some layout, from seeded synthetic tokens that do not depend on the
// layout.
struct TinyJob {
  ModelSpec model;
  Topology topology;
  Layout layout;
  int32_t micro_batches = 1;
  int32_t steps = kSteps;
  int32_t forward_degree = 1, backward_degree = 1, slices = 1;
  bool cut_blocks = false;
  AllToAllAlgorithm all_to_all = AllToAllAlgorithm::kDirect;
  // Where experts do not work at home; with switch_every, in every other plan.
  Placements placements = {};
  int32_t length = kLength;  // of a sequence
  uint64_t shuffle = 0;      // != 0: another issue order
  int32_t switch_every =
      0;  // steps after which another plan (degrees, slices, order) is installed; 0: never
  // The plan of every version (0 at first, one more at each switch), in place of what the numbers
  // above say of it. Each rank calls it for itself.
  std::function<absl::StatusOr<Plan>(const StepGraph& graph, int64_t version)> make_plan = nullptr;
  bool reference_kernels = false;
  bool guarded = false;  // tensors in a memory that the host may not touch; tasks one after another
  ComputeDevice* device = nullptr;    // null: the CPU
  Backend* device_backend = nullptr;  // on the device's memory; null: staged through the host
  double gradient_clip = 0.5;
  absl::Duration deadline = absl::Seconds(60);
  double learning_rate = 1e-2;

#ifdef ABSL_HAVE_ADDRESS_SANITIZER
  static constexpr int32_t kSteps = 3;  // they are slow there, and what differs does so at once
#else
  static constexpr int32_t kSteps = 10;
#endif
  static constexpr int32_t kGlobalBatch = 8;
  static constexpr int32_t kLength = 12;
};

ModelSpec TinyModel(Backbone backbone);

// One rank's result.
struct TinyResult {
  std::vector<double> losses, balances, norms;  // per step, equal on all ranks
  // Weights as products read them, by canonical windows: see Merge.
  std::map<std::string, std::vector<float>> values;
  std::map<std::string, std::vector<float>> gradients;  // likewise, of the last step
  // AdamW's moments, likewise; with ZeRO-1 the part of each window that this rank updates, which
  // Merge does not take.
  std::map<std::string, std::vector<float>> adam_m, adam_v;
  std::vector<Parameter> parameters;
};

// kInternal when installing a plan, unless experts change homes with it, changes a bit of values,
// weights or moments, and what fails in a step.
absl::StatusOr<TinyResult> RunTinyJob(Backend& backend, const TinyJob& job);

// "" when two jobs were the same training on every rank, bit for bit: losses, gradient norms,
// values and moments. Otherwise the first difference.
std::string DifferenceOf(const std::vector<TinyResult>& a, const std::vector<TinyResult>& b);

// The whole model (or its gradient, or a moment) from all ranks' windows, by canonical name.
std::map<std::string, std::vector<float>> Merge(
    const std::vector<TinyResult>& ranks, const TinyResult& one_rank,
    std::map<std::string, std::vector<float>> TinyResult::*windows = &TinyResult::values);

}  // namespace weft
