#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tensor/device/stream.h"
#include "tensor/kernels/kernels.h"

namespace weft {

struct StreamOptions {
  std::string name;  // at most 15 characters: debuggers and `top -H` show it
  // Whether products run there: what moves data comes first, since it takes little of what they
  // compete for and others wait for it.
  bool computes = false;
  std::vector<int32_t> processors = {};  // of the host, that its thread keeps to; empty: any
};

// What a rank computes on: kernels, the memory that they work in, and streams for them.
class ComputeDevice {
 public:
  virtual ~ComputeDevice() = default;
  virtual std::string description() const = 0;  // "CPU", "NVIDIA H100 80GB HBM3, ..."
  // Of the memory that kernels work in; nullopt: nobody can say, as of a host's.
  virtual std::optional<int64_t> free_bytes() = 0;
  // Of it, what one rank's kernels may take for themselves, beside tensors of this type.
  virtual int64_t scratch_bytes(DType dtype) const = 0;
  // Whether pieces of attention in bf16 must begin and end where sequences do.
  virtual bool attention_in_whole_sequences() const { return false; }
  // What these make may outlive the CPU's device, and no other.
  // Host memory that the kernels' memory exchanges bytes with fast.
  virtual Memory& staging_memory() = 0;
  virtual std::unique_ptr<Kernels> MakeKernels() = 0;
  virtual std::unique_ptr<Stream> MakeStream(const StreamOptions& options) = 0;
};

std::unique_ptr<ComputeDevice> MakeCpuDevice();

// kUnavailable, in a sentence: why there is none.
absl::StatusOr<int> CountCudaDevices();

struct CudaOptions {
  bool libraries = true;  // NVIDIA's, where they are installed; false: Weft's kernels alone
};

// kUnavailable, in a sentence, when this build has no CUDA, no driver runs, the driver or the
// device is too old, or there is no device of this number.
absl::StatusOr<std::unique_ptr<ComputeDevice>> MakeCudaDevice(int ordinal,
                                                              const CudaOptions& options = {});

}  // namespace weft
