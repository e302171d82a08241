#pragma once

#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/kernels/compute_device.h"

namespace weft {

// Where work for this device goes: for libraries that put work of their own into its streams. Null
// for a device that MakeCudaDevice did not make. Lives as long as the device.
CudaQueue* QueueOf(ComputeDevice& device);

}  // namespace weft
