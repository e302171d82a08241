#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/backend.h"
#include "tensor/kernels/compute_device.h"

namespace weft {

struct NcclOptions {
  int max_ctas = 0;  // blocks of threads that one collective may take from the device; 0: NCCL's
                     // choice
  // Other numbers of them that a plan may choose, ascending (Backend::sm_limits).
  std::vector<int32_t> sm_limits = {};
  // Told, once a communicator and from a thread of its own, the error of a collective that failed
  // after its call had returned: whoever waits for the device can then be let go.
  std::function<void(const absl::Status&)> on_failure = nullptr;
};

// OK when NCCL can be used. kUnavailable, in a sentence, when this build has no NCCL, its library
// is not there, or it is older than what this build was made for.
absl::Status FindNccl();

// Collectives on the memory of `device` by NCCL, in the order of the stream that calls; tensors on
// the host go over `host`, which also connects the ranks and names who is missing. Both outlive the
// backend. Errors: FindNccl's; kInvalidArgument when `device` is none of CUDA's.
absl::StatusOr<std::unique_ptr<Backend>> MakeNcclBackend(Backend& host, ComputeDevice& device,
                                                         const NcclOptions& options);

}  // namespace weft
