#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "comm/communicator.h"
#include "comm/group.h"
#include "comm/nccl/nccl_handle.h"
#include "comm/nccl/nccl_library.h"
#include "comm/nccl/nccl_operations.h"
#include "comm/nccl/nccl_watchdog.h"
#include "tensor/device/cuda/cuda_memory.h"
#include "tensor/device/cuda/cuda_queue.h"

namespace weft {

// A group over NCCL, with a communicator of the same group on the host beside it: tensors in the
// device's memory go over NCCL, tensors on the host over that one.
//
// Inside a stream's Work a collective is enqueued on that stream; elsewhere it goes to a stream of
// the communicator's own and has ended when the call returns. What fails on the device after the
// call has returned is found by the watchdog: then the communicator has failed (Health), what it
// does on the device is ended, and `on_failure` is told.
class NcclCommunicator final : public Communicator, private NcclWatchdog::Watched {
 public:
  struct Parts {
    const NcclLibrary* nccl = nullptr;
    CudaQueue* queue = nullptr;
    std::function<void(const absl::Status&)> on_failure;  // may be null
    std::shared_ptr<NcclWatchdog> watchdog;
    Group group;
    std::unique_ptr<Communicator> host;
    // Of the same group, on the host: members that wait in vain meet here to see who is missing.
    std::unique_ptr<Communicator> roll_call;
    // By limit of multiprocessors; collectives take that of *sm_limit. The same keys on all ranks.
    std::map<int32_t, std::unique_ptr<NcclHandle>> handles;
    std::shared_ptr<const std::atomic<int32_t>> sm_limit;
  };
  // `nccl` and `queue` outlive the communicator.
  explicit NcclCommunicator(Parts parts);
  ~NcclCommunicator() override;

  int rank() const override { return parts_.group.me; }
  int size() const override { return parts_.group.size(); }
  CommunicatorTraits traits() const override {
    return {.completion = Completion::kStreamOrdered,
            .rank_ordered_sums = false,
            .checks_sizes = false,
            .max_keeps_nan = false};
  }

  // Here also bf16.
  absl::Status AllReduce(TensorView data, ReduceOp op) override;
  absl::Status AllGather(ConstTensorView send, TensorView recv) override;
  absl::Status AllGatherV(const AllGatherVArgs& args) override;
  absl::Status ReduceScatterV(const ReduceScatterVArgs& args) override;
  absl::Status AllToAllV(const AllToAllVArgs& args) override;
  absl::Status Broadcast(TensorView data, int root) override;
  // Of the hosts: what was enqueued before may still run.
  absl::Status Barrier() override;

  absl::Status Health() const override;
  void Abort(const absl::Status& cause) override;

 private:
  // One or several calls of NCCL for one collective, on this stream.
  using Call = absl::FunctionRef<ncclResult_t(ncclComm_t comm, cudaStream_t stream)>;

  bool OnDevice(const ConstTensorView& view) const;
  bool OnDevice(const AllToAllVArgs& args) const;
  absl::Status OnHost(absl::FunctionRef<absl::Status(Communicator&)> call);
  // Where the work of this thread goes.
  cudaStream_t Stream();
  absl::Status Enqueue(const char* name, Call call);
  absl::Status Issue(const NcclOperations::Operation& operation, cudaStream_t stream, Call call);
  std::string Where(const char* name) const;

  absl::Status error() const;
  absl::Status HandlesHealth() const;
  // False when there was an error before: the first stays.
  bool Remember(const absl::Status& error) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends everything that the communicator does. After Remember.
  void EndAll(const absl::Status& error) const;
  // Both; returns the first error.
  absl::Status Fail(const absl::Status& error) const;
  absl::Time Look(absl::Time now) override;
  // On a thread of its own: ends everything and tells. `error` is remembered; OK: a collective is
  // late, and RollCall says why.
  void Report(absl::Status error, const char* name);
  absl::Status RollCall(const char* name);

  const Parts parts_;
  const NcclLibrary& nccl_;
  CudaMemory memory_;
  cudaStream_t own_stream_ = nullptr;
  mutable absl::Mutex mutex_;
  mutable absl::Status error_ ABSL_GUARDED_BY(mutex_);
  NcclOperations operations_ ABSL_GUARDED_BY(mutex_);
  std::thread reporter_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
