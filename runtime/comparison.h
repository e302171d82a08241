#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "runtime/batches.h"
#include "runtime/options.h"
#include "runtime/worker.h"

namespace weft {

struct Comparison {
  double sequential_seconds = 0;  // median step
  double plan_seconds = 0;
  double speedup = 0;        // ratio of the medians
  double low = 0, high = 0;  // least and greatest ratio of a round's medians
};

// Runs the same steps under two plans in turn: a block of steps under `sequential`, the same steps
// under `plan`, and so on. The learning rate is 0: parameters keep their bits. Leaves `plan`
// installed. COLLECTIVE. Run it after the last checkpoint: Adam's moments move.
absl::StatusOr<Comparison> ComparePlans(Worker& worker, Batches& batches,
                                        std::shared_ptr<const Plan> sequential,
                                        std::shared_ptr<const Plan> plan, const RunOptions& options,
                                        int64_t first_step);

}  // namespace weft
