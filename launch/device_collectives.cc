#include "launch/device_collectives.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "comm/nccl/make_nccl_backend.h"
#include "runtime/broadcast.h"

namespace weft {
namespace {

// Why this rank cannot have NCCL.
absl::Status CanUseNccl(const ClusterOptions& cluster, const ChosenDevice& device) {
  if (!device.cuda) return absl::UnavailableError("its tensors are not on a CUDA device");
  if (cluster.emulate) {
    return absl::UnavailableError("cluster.emulate delays what goes through the host alone");
  }
  if (device.shared) {
    return absl::UnavailableError(
        "its host has more ranks than CUDA devices, and NCCL wants a device for each");
  }
  return FindNccl();
}

}  // namespace

absl::StatusOr<ChosenCollectives> ChooseCollectives(
    const ClusterOptions& cluster, const std::vector<int32_t>& sm_limits,
    const ChosenDevice& device, Backend& host, Communicator& world,
    std::function<void(const absl::Status&)> on_failure) {
  const bool insists = cluster.device_collectives == "nccl";
  if (!insists && !device.cuda) return ChosenCollectives{};
  if (cluster.device_collectives == "host") {
    return ChosenCollectives{nullptr, "through the host (cluster.device_collectives)"};
  }
  const absl::Status all = AgreeOnStatus(world, CanUseNccl(cluster, device));
  if (all.ok()) {
    NcclOptions options;
    options.max_ctas = cluster.nccl_max_ctas;
    options.sm_limits = sm_limits;
    std::erase(options.sm_limits, cluster.nccl_max_ctas);  // that is what it does anyway
    options.on_failure = std::move(on_failure);
    WEFT_ASSIGN_OR_RETURN(auto nccl, MakeNcclBackend(host, *device.device, options));
    return ChosenCollectives{std::move(nccl), "by NCCL"};
  }
  WEFT_RETURN_IF_ERROR(world.Health());
  if (insists) {
    return absl::FailedPreconditionError(
        absl::StrCat("cluster.device_collectives is nccl: ", all.message()));
  }
  return ChosenCollectives{nullptr, absl::StrCat("through the host (", all.message(), ")")};
}

}  // namespace weft
