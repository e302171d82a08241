#include "tensor/device/cuda/cuda_error.h"

#include "base/check.h"

namespace weft {

std::string CudaErrorText(cudaError_t error, std::string_view what) {
  return "CUDA: " + std::string(what) + ": " + cudaGetErrorName(error) + " (" +
         cudaGetErrorString(error) + ")";
}

void CheckCuda(cudaError_t error, std::string_view what) {
  if (error == cudaSuccess) return;
  const std::string text = CudaErrorText(error, what);
  WEFT_CHECK(error == cudaSuccess, text);
}

}  // namespace weft
