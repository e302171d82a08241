#pragma once

#include <cuda_runtime.h>

#include <string>
#include <string_view>

namespace weft {

// "CUDA: WHAT: cudaErrorX (its description)".
std::string CudaErrorText(cudaError_t error, std::string_view what);

// Ends the process: for calls that fail only when the program or the device is broken.
void CheckCuda(cudaError_t error, std::string_view what);

}  // namespace weft
