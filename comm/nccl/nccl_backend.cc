#include "comm/nccl/nccl_backend.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "comm/nccl/nccl_communicator.h"
#include "comm/nccl/nccl_error.h"
#include "tensor/device/cuda/device_queue.h"

namespace weft {
namespace {

// NCCL looks for the paths between devices while it connects, whatever the deadline of collectives.
constexpr absl::Duration kConnectWithin = absl::Seconds(60);

// How long members that wait in vain wait for one another, to see who else does.
absl::Duration RollCallWithin(absl::Duration deadline) {
  return std::clamp(deadline / 2, absl::Seconds(1), absl::Seconds(30));
}

}  // namespace

absl::Status FindNccl() { return LoadNccl().status(); }

absl::StatusOr<std::unique_ptr<Backend>> MakeNcclBackend(Backend& host, ComputeDevice& device,
                                                         const NcclOptions& options) {
  WEFT_ASSIGN_OR_RETURN(const NcclLibrary* const nccl, LoadNccl());
  CudaQueue* const queue = QueueOf(device);
  if (queue == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("NCCL needs a CUDA device, not the ", device.description()));
  }
  return std::make_unique<NcclBackend>(host, *queue, *nccl, options);
}

NcclBackend::NcclBackend(Backend& host, CudaQueue& queue, const NcclLibrary& nccl,
                         NcclOptions options)
    : host_(host),
      queue_(queue),
      nccl_(nccl),
      options_(std::move(options)),
      watchdog_(std::make_shared<NcclWatchdog>()) {}

absl::StatusOr<std::unique_ptr<Communicator>> NcclBackend::Connect(const std::string& name,
                                                                   const std::vector<RankId>& ranks,
                                                                   absl::Duration deadline) {
  NcclCommunicator::Parts parts;
  WEFT_ASSIGN_OR_RETURN(parts.group,
                        MakeGroup(name, ranks, RankId{rank()}, world_size(), deadline));
  if (world() == nullptr) WEFT_RETURN_IF_ERROR(ConnectWorld(deadline));
  // Both, whatever comes of the first: all ranks connect equally often.
  auto host = host_.Connect(name, ranks, deadline);
  auto roll_call = host_.Connect(absl::StrCat(name, " roll call"), ranks, RollCallWithin(deadline));
  absl::Status connected = host.status();
  connected.Update(roll_call.status());
  WEFT_RETURN_IF_ERROR(Agree(connected, name));
  parts.host = *std::move(host);
  parts.roll_call = *std::move(roll_call);
  std::vector<int32_t> sm_limits = options_.sm_limits;
  sm_limits.push_back(0);
  for (const int32_t sm_limit : sm_limits) {
    auto handle = Split(parts.group, sm_limit);
    if (!handle.ok()) {
      return WithContext(handle.status(), absl::StrCat("group \"", name, "\", Connect"));
    }
    parts.handles[sm_limit] = *std::move(handle);
  }
  parts.sm_limit = sm_limit_;
  parts.nccl = &nccl_;
  parts.queue = &queue_;
  parts.on_failure = options_.on_failure;
  parts.watchdog = watchdog_;
  return std::make_unique<NcclCommunicator>(std::move(parts));
}

absl::Status NcclBackend::ConnectWorld(absl::Duration deadline) {
  std::vector<RankId> all;
  all.reserve(static_cast<size_t>(world_size()));
  for (int r = 0; r < world_size(); ++r) all.push_back(RankId{r});
  // Ranks agree after each has waited for the members of its group: twice as long as these.
  WEFT_ASSIGN_OR_RETURN(control_,
                        host_.Connect("nccl", all, std::max(2 * deadline, kConnectWithin)));
  WEFT_ASSIGN_OR_RETURN(const ncclUniqueId id, ShareId());
  queue_.stream();  // selects the device
  ncclConfig_t config = Config(0);
  ncclComm_t comm = nullptr;
  const ncclResult_t made = nccl_.CommInitRankConfig(&comm, world_size(), id, rank(), &config);
  if (comm == nullptr) {
    return NcclStatus(nccl_, nullptr, made == ncclSuccess ? ncclInternalError : made, "connecting");
  }
  auto connecting = std::make_unique<NcclHandle>(nccl_, comm);
  WEFT_RETURN_IF_ERROR(connecting->Run("connecting the world", absl::Now() + kConnectWithin,
                                       [made](ncclComm_t) { return made; }));
  absl::MutexLock lock(&mutex_);
  world_ = std::move(connecting);
  return absl::OkStatus();
}

NcclHandle* NcclBackend::world() {
  absl::MutexLock lock(&mutex_);
  return world_.get();
}

absl::StatusOr<ncclUniqueId> NcclBackend::ShareId() {
  ncclUniqueId id{};
  absl::Status mine;
  if (rank() == 0) mine = NcclStatus(nccl_, nullptr, nccl_.GetUniqueId(&id), "making an id");
  WEFT_RETURN_IF_ERROR(Agree(mine, "world"));
  auto* const bytes = reinterpret_cast<uint8_t*>(&id);
  WEFT_RETURN_IF_ERROR(
      control_->Broadcast(View(bytes, {static_cast<int64_t>(sizeof(id))}), /*root=*/0));
  return id;
}

absl::Status NcclBackend::Agree(const absl::Status& mine, const std::string& group) {
  const int64_t bad = mine.ok() ? 0 : 1;
  std::vector<int64_t> all(static_cast<size_t>(world_size()));
  const absl::Status gathered =
      control_->AllGather(View(&bad, {1}), View(all.data(), {world_size()}));
  WEFT_RETURN_IF_ERROR(mine);
  WEFT_RETURN_IF_ERROR(gathered);
  const auto first = std::find(all.begin(), all.end(), 1);
  if (first == all.end()) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("group \"", group, "\": rank ", first - all.begin(),
                                         " could not connect its own"));
}

absl::StatusOr<std::unique_ptr<NcclHandle>> NcclBackend::Split(const Group& group,
                                                               int32_t sm_limit) {
  queue_.stream();  // selects the device
  const absl::Time deadline = absl::Now() + std::max(group.deadline, kConnectWithin);
  ncclConfig_t config = Config(sm_limit);
  ncclComm_t& made = split_.emplace_back(nullptr);
  // The groups of one call partition the world: each is known by its first rank.
  WEFT_RETURN_IF_ERROR(world()->Run("splitting the world", deadline, [&](ncclComm_t whole) {
    return nccl_.CommSplit(whole, group.ranks.front().value, group.me, &made, &config);
  }));
  if (made == nullptr) return NcclStatus(nccl_, nullptr, ncclInternalError, "splitting the world");
  auto handle = std::make_unique<NcclHandle>(nccl_, made);
  WEFT_RETURN_IF_ERROR(
      handle->Run("connecting a group", deadline, [](ncclComm_t) { return ncclInProgress; }));
  return handle;
}

ncclConfig_t NcclBackend::Config(int32_t sm_limit) const {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  // One block of threads of a collective takes a multiprocessor.
  const int32_t most = sm_limit > 0 ? sm_limit : options_.max_ctas;
  if (most > 0) {
    config.minCTAs = 1;
    config.maxCTAs = most;
  }
  return config;
}

void NcclBackend::LimitSms(int32_t limit) {
  WEFT_CHECK(limit == 0 || std::find(options_.sm_limits.begin(), options_.sm_limits.end(), limit) !=
                               options_.sm_limits.end(),
             "the backend offers the limit");
  *sm_limit_ = limit;
}

void NcclBackend::Abort(const absl::Status& cause) {
  host_.Abort(cause);
  if (NcclHandle* const connected = world(); connected != nullptr) {
    connected->Fail(AbortedBy(cause));
  }
  watchdog_->Abort(cause);
}

}  // namespace weft
