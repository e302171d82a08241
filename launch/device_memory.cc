#include "launch/device_memory.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "runtime/broadcast.h"

namespace weft {
namespace {

absl::Status CheckOwn(const MemoryEstimate& estimate, DType dtype, ComputeDevice& device,
                      int64_t ranks_on_host) {
  const std::optional<int64_t> free = device.free_bytes();
  if (!free.has_value()) return absl::OkStatus();
  const int64_t devices = CountCudaDevices().value_or(1);
  const int64_t sharing = (ranks_on_host + devices - 1) / devices;
  if (estimate.total() + device.scratch_bytes(dtype) <= *free / sharing) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("training takes about ", ToString(estimate),
                   absl::StrFormat(", beside %.2f GiB for kernels",
                                   static_cast<double>(device.scratch_bytes(dtype)) / (1 << 30)),
                   absl::StrFormat(", and its CUDA device has %.2f GiB free",
                                   static_cast<double>(*free) / (1 << 30)),
                   sharing > 1 ? absl::StrCat(" for ", sharing, " ranks") : "",
                   "; more micro_batches, zero_stage: 1, bf16 or more ranks take less"));
}

}  // namespace

absl::Status CheckDeviceMemory(const MemoryEstimate& estimate, DType dtype, ComputeDevice& device,
                               std::span<const int> hosts, Communicator& world) {
  const int own = hosts[static_cast<size_t>(world.rank())];
  return AgreeOnStatus(
      world, CheckOwn(estimate, dtype, device, std::count(hosts.begin(), hosts.end(), own)));
}

}  // namespace weft
