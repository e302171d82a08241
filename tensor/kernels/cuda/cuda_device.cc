#include <cuda_runtime.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tensor/device/cuda/cuda_error.h"
#include "tensor/device/cuda/cuda_memory.h"
#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/device/cuda/cuda_stream.h"
#include "tensor/device/cuda/device_queue.h"
#include "tensor/kernels/compute_device.h"
#include "tensor/kernels/cuda/cublas_lt.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/cuda_products.h"
#include "tensor/kernels/cuda/cudnn_attention.h"
#include "tensor/kernels/cuda/fused_attention.h"
#include "tensor/kernels/cuda/lt_products.h"

namespace weft {
namespace {

constexpr int kCapability = 9;  // what the kernels are compiled for: Hopper

class CudaDevice final : public ComputeDevice {
 public:
  CudaDevice(int ordinal, const cudaDeviceProp& properties, const CudaOptions& options)
      : multiprocessors_(properties.multiProcessorCount),
        queue_(ordinal),
        memory_(queue_),
        library_(options.libraries ? OpenCublasLt()
                                   : absl::UnavailableError("it is not asked for")),
        attention_(options.libraries ? OpenCudnnAttention()
                                     : absl::UnavailableError("it is not asked for")),
        description_(absl::StrCat(
            properties.name, ", ", multiprocessors_, " SMs, ", properties.totalGlobalMem >> 30,
            " GiB; ", DescribeProducts(library_), "; ", DescribeAttention(attention_))) {}

  std::string description() const override { return description_; }
  std::optional<int64_t> free_bytes() override {
    size_t free = 0;
    size_t total = 0;
    CheckCuda(cudaSetDevice(queue_.device()), "choosing the device");
    CheckCuda(cudaMemGetInfo(&free, &total), "asking for free memory");
    return static_cast<int64_t>(free);
  }
  int64_t scratch_bytes(DType dtype) const override {
    if (dtype != DType::kBF16) return 0;  // the libraries compute nothing else
    return (library_.ok() ? LtProducts::WorkspaceBytes(**library_) : 0) +
           (attention_.ok() ? (*attention_)->most_workspace_bytes() : 0);
  }
  bool attention_in_whole_sequences() const override { return attention_.ok(); }
  Memory& staging_memory() override { return pinned_; }
  std::unique_ptr<Kernels> MakeKernels() override {
    return std::make_unique<CudaKernels>(
        queue_, memory_,
        std::make_unique<CudaProducts>(queue_, memory_, library_.ok() ? library_->get() : nullptr,
                                       multiprocessors_),
        attention_.ok() ? std::make_unique<FusedAttention>(queue_, memory_, **attention_)
                        : nullptr);
  }
  std::unique_ptr<Stream> MakeStream(const StreamOptions& options) override {
    return std::make_unique<CudaStream>(queue_, options.name, options.computes ? 0 : -1);
  }
  CudaQueue& queue() { return queue_; }

 private:
  const int multiprocessors_;
  CudaQueue queue_;  // selects the device for what follows
  CudaMemory memory_;
  CudaPinnedMemory pinned_;
  const absl::StatusOr<std::unique_ptr<CublasLt>> library_;
  const absl::StatusOr<std::unique_ptr<CudnnAttention>> attention_;
  const std::string description_;
};

std::string Version(int version) { return absl::StrCat(version / 1000, ".", version % 1000 / 10); }

}  // namespace

CudaQueue* QueueOf(ComputeDevice& device) {
  auto* const cuda = dynamic_cast<CudaDevice*>(&device);
  return cuda == nullptr ? nullptr : &cuda->queue();
}

absl::StatusOr<int> CountCudaDevices() {
  int driver = 0;
  int runtime = 0;
  int count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    return absl::UnavailableError("no CUDA device: no NVIDIA driver is loaded");
  }
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver && cudaRuntimeGetVersion(&runtime) == cudaSuccess) {
    return absl::UnavailableError(absl::StrCat("no CUDA device: the driver knows CUDA ",
                                               Version(driver), ", this build needs ",
                                               Version(runtime)));
  }
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    return absl::UnavailableError(
        "no CUDA device: the driver shows none (does CUDA_VISIBLE_DEVICES hide it?)");
  }
  if (error != cudaSuccess) {
    return absl::UnavailableError(CudaErrorText(error, "counting devices"));
  }
  return count;
}

absl::StatusOr<std::unique_ptr<ComputeDevice>> MakeCudaDevice(int ordinal,
                                                              const CudaOptions& options) {
  WEFT_ASSIGN_OR_RETURN(const int count, CountCudaDevices());
  if (ordinal < 0 || ordinal >= count) {
    return absl::UnavailableError(
        absl::StrCat("CUDA device ", ordinal, " does not exist: there are ", count));
  }
  cudaDeviceProp properties{};
  const cudaError_t error = cudaGetDeviceProperties(&properties, ordinal);
  if (error != cudaSuccess) {
    return absl::UnavailableError(CudaErrorText(error, "asking for a device's properties"));
  }
  if (properties.major != kCapability) {
    return absl::UnavailableError(absl::StrCat("CUDA device ", ordinal, " (", properties.name,
                                               ") has compute capability ", properties.major, ".",
                                               properties.minor, "; the kernels are built for ",
                                               kCapability, ".0"));
  }
  return std::make_unique<CudaDevice>(ordinal, properties, options);
}

}  // namespace weft
