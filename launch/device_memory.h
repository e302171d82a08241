#pragma once

#include <span>

#include "absl/status/status.h"
#include "comm/communicator.h"
#include "models/memory_estimate.h"
#include "tensor/kernels/compute_device.h"

namespace weft {

// Whether what training in this type takes fits into what is free on the device of every rank;
// where ranks of a host share devices, each has its part. hosts[r] is the host of rank r. Before
// anything is allocated: an allocation that fails later ends a job without a word about why.
// COLLECTIVE over `world`. kFailedPrecondition, in a sentence with the estimate and what is free.
absl::Status CheckDeviceMemory(const MemoryEstimate& estimate, DType dtype, ComputeDevice& device,
                               std::span<const int> hosts, Communicator& world);

}  // namespace weft
