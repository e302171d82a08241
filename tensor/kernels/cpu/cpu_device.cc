#include "tensor/device/cpu/cpu_stream.h"
#include "tensor/kernels/compute_device.h"

namespace weft {
namespace {

class CpuDevice final : public ComputeDevice {
 public:
  std::string description() const override { return "CPU"; }
  std::optional<int64_t> free_bytes() override { return std::nullopt; }
  int64_t scratch_bytes(DType /*dtype*/) const override { return 0; }
  Memory& staging_memory() override { return HostMemory(); }
  std::unique_ptr<Kernels> MakeKernels() override { return MakeCpuKernels(); }
  std::unique_ptr<Stream> MakeStream(const StreamOptions& options) override {
    const auto priority =
        options.computes ? CpuStream::Priority::kYielding : CpuStream::Priority::kNormal;
    return std::make_unique<CpuStream>(options.name, priority, options.processors);
  }
};

}  // namespace

std::unique_ptr<ComputeDevice> MakeCpuDevice() { return std::make_unique<CpuDevice>(); }

}  // namespace weft
