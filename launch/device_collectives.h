#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/backend.h"
#include "launch/device.h"
#include "runtime/options.h"

namespace weft {

struct ChosenCollectives {
  std::unique_ptr<Backend> nccl;  // null: tensors of the device go through the host
  std::string description;        // "by NCCL", "through the host (why)"; empty on the CPU
};

// What cluster.device_collectives says; plans may choose among `sm_limits`
// (TuningOptions::sm_limits). COLLECTIVE over `world`: all ranks go the same way. `host`
// and the device outlive what is returned; `on_failure` as in NcclOptions. kFailedPrecondition, in
// a sentence, when NCCL is wanted and a rank cannot have it.
absl::StatusOr<ChosenCollectives> ChooseCollectives(
    const ClusterOptions& cluster, const std::vector<int32_t>& sm_limits,
    const ChosenDevice& device, Backend& host, Communicator& world,
    std::function<void(const absl::Status&)> on_failure);

}  // namespace weft
