#pragma once

#include <memory>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "runtime/options.h"
#include "tensor/kernels/compute_device.h"

namespace weft {

struct ChosenDevice {
  std::unique_ptr<ComputeDevice> device;
  std::string why_cpu;  // cluster.device: auto, and no CUDA; empty otherwise
  bool cuda = false;
  bool shared = false;  // with other ranks of its host
};

// What cluster.device says; hosts[r] is the host of rank r. COLLECTIVE over `world`: all ranks
// compute on the same kind. kFailedPrecondition, in a sentence, when CUDA is wanted and a rank
// cannot have it.
absl::StatusOr<ChosenDevice> ChooseDevice(const ClusterOptions& cluster, std::span<const int> hosts,
                                          Communicator& world);

}  // namespace weft
