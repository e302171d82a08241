#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "runtime/checkpoint/checkpoint_store.h"
#include "runtime/worker.h"

namespace weft {

// What a checkpoint of a training job holds: every parameter of every rank with its Adam moments,
// and where the run was.
struct CheckpointPosition {
  int64_t steps_done = 0;  // the next step to run; data order and learning rate follow from it
  std::string config_fingerprint;
};

// In the metadata: in which way products of groups were computed (tensor/kernels/grouped_method.h).
inline constexpr std::string_view kProductsInCheckpoints = "grouped_products";

// COLLECTIVE. On an error the job may go on; earlier checkpoints are intact.
absl::Status SaveCheckpoint(const CheckpointStore& store, Worker& worker,
                            const CheckpointPosition& position);

// COLLECTIVE. Fills the worker's parameters from the newest whole checkpoint.
absl::StatusOr<LoadedCheckpoint> LoadCheckpoint(const CheckpointStore& store, Worker& worker);

}  // namespace weft
