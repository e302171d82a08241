#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "comm/backend.h"
#include "comm/group.h"
#include "comm/nccl/make_nccl_backend.h"
#include "comm/nccl/nccl_handle.h"
#include "comm/nccl/nccl_library.h"
#include "comm/nccl/nccl_watchdog.h"
#include "tensor/device/cuda/cuda_queue.h"

namespace weft {

// Groups over NCCL. The first Connect makes NCCL's communicator of the world, every Connect splits
// it, once for each limit of multiprocessors; a host backend connects the same groups beside it.
class NcclBackend final : public Backend {
 public:
  // All outlive the backend and its communicators.
  NcclBackend(Backend& host, CudaQueue& queue, const NcclLibrary& nccl, NcclOptions options);

  int rank() const override { return host_.rank(); }
  int world_size() const override { return host_.world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override;
  std::vector<int32_t> sm_limits() const override { return options_.sm_limits; }
  void LimitSms(int32_t limit) override;
  void Abort(const absl::Status& cause) override;

 private:
  // NCCL's communicator of the world. Connect alone makes it, and it stays.
  NcclHandle* world();
  absl::Status ConnectWorld(absl::Duration deadline);
  // Rank 0's key to NCCL's communicator of the world, on every rank.
  absl::StatusOr<ncclUniqueId> ShareId();
  // OK when `mine` is OK on all ranks: nobody then waits in NCCL for one that does not come.
  absl::Status Agree(const absl::Status& mine, const std::string& group);
  absl::StatusOr<std::unique_ptr<NcclHandle>> Split(const Group& group, int32_t sm_limit);
  // 0: of NcclOptions::max_ctas.
  ncclConfig_t Config(int32_t sm_limit) const;

  Backend& host_;
  CudaQueue& queue_;
  const NcclLibrary& nccl_;
  const NcclOptions options_;
  const std::shared_ptr<std::atomic<int32_t>> sm_limit_ = std::make_shared<std::atomic<int32_t>>(0);
  const std::shared_ptr<NcclWatchdog> watchdog_;
  std::unique_ptr<Communicator> control_;  // the world, on the host
  // NCCL writes here while it splits the world, even when nobody waits for it any more.
  std::deque<ncclComm_t> split_;
  absl::Mutex mutex_;                                          // Abort comes from other threads
  std::unique_ptr<NcclHandle> world_ ABSL_GUARDED_BY(mutex_);  // null before the first Connect
};

}  // namespace weft
