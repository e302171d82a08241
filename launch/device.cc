#include "launch/device.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/broadcast.h"

namespace weft {
namespace {

absl::StatusOr<ChosenDevice> OpenCudaDevice(const ClusterOptions& cluster,
                                            std::span<const int> hosts, size_t rank) {
  if (cluster.compute_share < 1) {
    return absl::UnavailableError("cluster.compute_share emulates processors, not CUDA devices");
  }
  const auto own = hosts.begin() + static_cast<std::ptrdiff_t>(rank);
  const auto before = static_cast<int>(std::count(hosts.begin(), own, hosts[rank]));
  const auto ranks = std::count(hosts.begin(), hosts.end(), hosts[rank]);
  WEFT_ASSIGN_OR_RETURN(const int devices, CountCudaDevices());
  if (ranks > devices && !cluster.share_devices) {
    return absl::UnavailableError(absl::StrCat("its host has ", ranks, " ranks and ", devices,
                                               " CUDA ", devices == 1 ? "device" : "devices",
                                               " (cluster.share_devices lets several ",
                                               "ranks use one)"));
  }
  WEFT_ASSIGN_OR_RETURN(auto device, MakeCudaDevice(before % devices));
  return ChosenDevice{
      .device = std::move(device), .why_cpu = "", .cuda = true, .shared = ranks > devices};
}

}  // namespace

absl::StatusOr<ChosenDevice> ChooseDevice(const ClusterOptions& cluster, std::span<const int> hosts,
                                          Communicator& world) {
  if (cluster.device == "cpu") return ChosenDevice{.device = MakeCpuDevice(), .why_cpu = ""};
  auto cuda = OpenCudaDevice(cluster, hosts, static_cast<size_t>(world.rank()));
  const absl::Status all = AgreeOnStatus(world, cuda.status());
  if (all.ok()) return cuda;
  WEFT_RETURN_IF_ERROR(world.Health());
  if (cluster.device == "cuda") {
    return absl::FailedPreconditionError(absl::StrCat("cluster.device is cuda: ", all.message()));
  }
  return ChosenDevice{.device = MakeCpuDevice(), .why_cpu = std::string(all.message())};
}

}  // namespace weft
