#include "comm/nccl/nccl_communicator.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "comm/collective_args.h"
#include "comm/rows.h"
#include "tensor/device/cuda/cuda_error.h"

namespace weft {
namespace {

// While collectives are under way the watchdog looks this often, or four times in a deadline.
constexpr absl::Duration kLookEvery = absl::Seconds(1);

const char* At(const void* data, int64_t bytes) { return static_cast<const char*>(data) + bytes; }
char* At(void* data, int64_t bytes) { return static_cast<char*>(data) + bytes; }

absl::Status CudaStatus(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return absl::OkStatus();
  return absl::InternalError(CudaErrorText(error, what));
}

ncclDataType_t NcclType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return ncclFloat32;
    case DType::kF64:
      return ncclFloat64;
    case DType::kBF16:
      return ncclBfloat16;
    case DType::kI64:
      return ncclInt64;
    default:
      WEFT_CHECK(false, "NCCL adds up f32, f64, bf16 and i64");
      return ncclInt64;
  }
}

bool AllEqual(std::span<const int64_t> rows) {
  return std::adjacent_find(rows.begin(), rows.end(), std::not_equal_to<>()) == rows.end();
}

// The calls of one collective, started together. After the first that fails none is made.
class CallGroup {
 public:
  explicit CallGroup(const NcclLibrary& nccl) : nccl_(nccl), result_(nccl.GroupStart()) {}

  template <typename Function, typename... Arguments>
  void Add(Function function, Arguments... arguments) {
    if (Good(result_)) result_ = function(arguments...);
  }
  ncclResult_t End() {
    const ncclResult_t ended = nccl_.GroupEnd();
    return Good(result_) ? ended : result_;
  }

 private:
  static bool Good(ncclResult_t result) {
    return result == ncclSuccess || result == ncclInProgress;
  }

  const NcclLibrary& nccl_;
  ncclResult_t result_;
};

}  // namespace

NcclCommunicator::NcclCommunicator(Parts parts)
    : parts_(std::move(parts)), nccl_(*parts_.nccl), memory_(*parts_.queue) {
  parts_.watchdog->Add(this);
}

NcclCommunicator::~NcclCommunicator() {
  parts_.watchdog->Remove(this);
  parts_.roll_call->Abort(absl::AbortedError("the communicator is at its end"));
  std::thread reporter;
  {
    absl::MutexLock lock(&mutex_);
    reporter = std::move(reporter_);
  }
  if (reporter.joinable()) reporter.join();
  if (own_stream_ != nullptr) cudaStreamDestroy(own_stream_);
}

// What has no bytes on one member has none on all, and goes over the host on all.
bool NcclCommunicator::OnDevice(const ConstTensorView& view) const {
  return view.data != nullptr && view.bytes() > 0 && memory_.Holds(view.data);
}

// Who moves no row has no part in it on the device, and has to come all the same on the host.
bool NcclCommunicator::OnDevice(const AllToAllVArgs& args) const {
  const void* data = args.send.data != nullptr ? args.send.data : args.recv.data;
  if (TotalRows(args.send_rows) > 0) {
    data = args.send.data;
  } else if (TotalRows(args.recv_rows) > 0) {
    data = args.recv.data;
  }
  return data == nullptr || memory_.Holds(data);
}

absl::Status NcclCommunicator::OnHost(absl::FunctionRef<absl::Status(Communicator&)> call) {
  WEFT_RETURN_IF_ERROR(error());
  const absl::Status status = call(*parts_.host);
  return status.ok() ? status : Fail(status);
}

absl::Status NcclCommunicator::AllReduce(TensorView data, ReduceOp op) {
  if (!OnDevice(data)) return OnHost([&](Communicator& host) { return host.AllReduce(data, op); });
  return Enqueue("AllReduce", [&](ncclComm_t comm, cudaStream_t stream) {
    return nccl_.AllReduce(data.data, data.data, static_cast<size_t>(data.elements()),
                           NcclType(data.dtype), op == ReduceOp::kSum ? ncclSum : ncclMax, comm,
                           stream);
  });
}

absl::Status NcclCommunicator::AllGather(ConstTensorView send, TensorView recv) {
  if (!OnDevice(recv)) {
    return OnHost([&](Communicator& host) { return host.AllGather(send, recv); });
  }
  CheckAllGather(send, recv, size());
  return Enqueue("AllGather", [&](ncclComm_t comm, cudaStream_t stream) {
    return nccl_.AllGather(send.data, recv.data, static_cast<size_t>(send.bytes()), ncclUint8, comm,
                           stream);
  });
}

// Rows that differ are a broadcast from each member, started together: every byte leaves its rank
// once, as in NCCL's own all-gather, where sends to each peer would leave it size - 1 times.
absl::Status NcclCommunicator::AllGatherV(const AllGatherVArgs& args) {
  if (TotalRows(args.rows) == 0 || !OnDevice(args.recv)) {
    return OnHost([&](Communicator& host) { return host.AllGatherV(args); });
  }
  CheckAllGatherV(args, rank(), size());
  const int64_t row_bytes = RowBytes(args.recv);
  return Enqueue("AllGatherV", [&](ncclComm_t comm, cudaStream_t stream) {
    if (AllEqual(args.rows)) {
      return nccl_.AllGather(args.send.data, args.recv.data,
                             static_cast<size_t>(args.rows.front() * row_bytes), ncclUint8, comm,
                             stream);
    }
    CallGroup calls(nccl_);
    PeerBlocks blocks(args.rows);
    for (int root = 0; root < size(); ++root) {
      const PeerBlocks::Block block = blocks.Next();
      char* const into = At(args.recv.data, block.begin * row_bytes);
      if (block.rows > 0) {
        calls.Add(nccl_.Broadcast, root == rank() ? args.send.data : into, into,
                  static_cast<size_t>(block.rows * row_bytes), ncclUint8, root, comm, stream);
      }
    }
    return calls.End();
  });
}

// Rows that differ are a reduction to each member, started together: no room of our own, no kernel
// of our own.
absl::Status NcclCommunicator::ReduceScatterV(const ReduceScatterVArgs& args) {
  if (TotalRows(args.rows) == 0 || !OnDevice(args.send)) {
    return OnHost([&](Communicator& host) { return host.ReduceScatterV(args); });
  }
  CheckReduceScatterV(args, rank(), size());
  const int64_t row_bytes = RowBytes(args.send);
  const int64_t width = row_bytes / SizeOf(args.send.dtype);
  const ncclDataType_t type = NcclType(args.send.dtype);
  return Enqueue("ReduceScatterV", [&](ncclComm_t comm, cudaStream_t stream) {
    if (AllEqual(args.rows)) {
      return nccl_.ReduceScatter(args.send.data, args.recv.data,
                                 static_cast<size_t>(args.rows.front() * width), type, ncclSum,
                                 comm, stream);
    }
    CallGroup calls(nccl_);
    PeerBlocks blocks(args.rows);
    for (int root = 0; root < size(); ++root) {
      const PeerBlocks::Block block = blocks.Next();
      if (block.rows > 0) {
        calls.Add(nccl_.Reduce, At(args.send.data, block.begin * row_bytes),
                  root == rank() ? args.recv.data : nullptr,
                  static_cast<size_t>(block.rows * width), type, ncclSum, root, comm, stream);
      }
    }
    return calls.End();
  });
}

absl::Status NcclCommunicator::AllToAllV(const AllToAllVArgs& args) {
  if (!OnDevice(args)) {
    return OnHost([&](Communicator& host) { return host.AllToAllV(args); });
  }
  CheckAllToAllV(args, rank(), size());
  WEFT_RETURN_IF_ERROR(error());
  const auto me = static_cast<size_t>(rank());
  if (TotalRows(args.send_rows) + TotalRows(args.recv_rows) == 0) return absl::OkStatus();
  const int64_t row_bytes = RowBytes(args.send);
  return Enqueue("AllToAllV", [&](ncclComm_t comm, cudaStream_t stream) {
    PeerBlocks from(args.send_rows, args.send_begin);
    PeerBlocks to(args.recv_rows, args.recv_begin);
    cudaError_t copied = cudaSuccess;
    CallGroup calls(nccl_);
    for (size_t peer = 0; peer < args.send_rows.size(); ++peer) {
      const PeerBlocks::Block out = from.Next();
      const PeerBlocks::Block in = to.Next();
      const char* const data = At(args.send.data, out.begin * row_bytes);
      char* const place = At(args.recv.data, in.begin * row_bytes);
      const auto out_bytes = static_cast<size_t>(out.rows * row_bytes);
      const auto in_bytes = static_cast<size_t>(in.rows * row_bytes);
      if (peer == me) {
        if (out_bytes > 0 && data != place) {
          copied = cudaMemcpyAsync(place, data, out_bytes, cudaMemcpyDeviceToDevice, stream);
        }
        continue;
      }
      const int other = static_cast<int>(peer);
      if (out_bytes > 0) calls.Add(nccl_.Send, data, out_bytes, ncclUint8, other, comm, stream);
      if (in_bytes > 0) calls.Add(nccl_.Recv, place, in_bytes, ncclUint8, other, comm, stream);
    }
    const ncclResult_t result = calls.End();
    return copied == cudaSuccess ? result : ncclUnhandledCudaError;
  });
}

absl::Status NcclCommunicator::Broadcast(TensorView data, int root) {
  if (!OnDevice(data)) {
    return OnHost([&](Communicator& host) { return host.Broadcast(data, root); });
  }
  CheckRoot(root, size());
  return Enqueue("Broadcast", [&](ncclComm_t comm, cudaStream_t stream) {
    return nccl_.Broadcast(data.data, data.data, static_cast<size_t>(data.bytes()), ncclUint8, root,
                           comm, stream);
  });
}

absl::Status NcclCommunicator::Barrier() {
  return OnHost([](Communicator& host) { return host.Barrier(); });
}

cudaStream_t NcclCommunicator::Stream() {
  const cudaStream_t current = parts_.queue->stream();  // also selects the device
  if (parts_.queue->inside_work()) return current;
  if (own_stream_ == nullptr) {
    CheckCuda(cudaStreamCreateWithPriority(&own_stream_, cudaStreamNonBlocking, 0),
              "making a stream");
  }
  return own_stream_;
}

absl::Status NcclCommunicator::Enqueue(const char* name, Call call) {
  WEFT_RETURN_IF_ERROR(error());
  const cudaStream_t stream = Stream();
  const absl::Time now = absl::Now();
  NcclOperations::Operation operation{};
  absl::Status pruned;
  {
    absl::MutexLock lock(&mutex_);
    pruned = operations_.Prune();
    if (pruned.ok()) operation = operations_.Add(name, now);
  }
  if (!pruned.ok()) return Fail(WithContext(pruned, Where(name)));
  parts_.watchdog->LookBy(now + std::min(kLookEvery, parts_.group.deadline / 4));
  const absl::Status issued = Issue(operation, stream, call);
  if (!issued.ok()) return Fail(WithContext(issued, Where(name)));
  {
    absl::MutexLock lock(&mutex_);
    operations_.Issued();
  }
  if (parts_.queue->inside_work()) return absl::OkStatus();
  const absl::Status ended = CudaStatus(cudaEventSynchronize(operation.end), "a collective");
  return ended.ok() ? Health() : Fail(WithContext(ended, Where(name)));
}

absl::Status NcclCommunicator::Issue(const NcclOperations::Operation& operation,
                                     cudaStream_t stream, Call call) {
  WEFT_RETURN_IF_ERROR(CudaStatus(cudaEventRecord(operation.begin, stream), "recording an event"));
  WEFT_RETURN_IF_ERROR(parts_.handles.at(*parts_.sm_limit)
                           ->Run(operation.name, absl::InfiniteFuture(),
                                 [&](ncclComm_t comm) { return call(comm, stream); }));
  return CudaStatus(cudaEventRecord(operation.end, stream), "recording an event");
}

std::string NcclCommunicator::Where(const char* name) const {
  return absl::StrCat("group \"", parts_.group.name, "\", ", name);
}

absl::Status NcclCommunicator::error() const {
  absl::MutexLock lock(&mutex_);
  return error_;
}

bool NcclCommunicator::Remember(const absl::Status& error) const {
  if (!error_.ok()) return false;
  error_ = error;
  return true;
}

void NcclCommunicator::EndAll(const absl::Status& error) const {
  for (const auto& [sm_limit, handle] : parts_.handles) handle->Fail(error);
  parts_.host->Abort(error);
  parts_.roll_call->Abort(error);
}

absl::Status NcclCommunicator::Fail(const absl::Status& error) const {
  {
    absl::MutexLock lock(&mutex_);
    if (!Remember(error)) return error_;
  }
  EndAll(error);
  return error;
}

absl::Status NcclCommunicator::HandlesHealth() const {
  absl::Status health;
  for (const auto& [sm_limit, handle] : parts_.handles) health.Update(handle->Health());
  return health;
}

absl::Status NcclCommunicator::Health() const {
  WEFT_RETURN_IF_ERROR(error());
  const absl::Status health = HandlesHealth();
  if (health.ok()) return error();
  return Fail(WithContext(health, absl::StrCat("group \"", parts_.group.name, "\"")));
}

void NcclCommunicator::Abort(const absl::Status& cause) {
  Fail(WithContext(AbortedBy(cause), absl::StrCat("group \"", parts_.group.name, "\"")))
      .IgnoreError();
}

absl::Time NcclCommunicator::Look(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  if (!error_.ok() || reporter_.joinable()) return absl::InfiniteFuture();
  absl::Status status = operations_.Prune();
  const NcclOperations::Operation* const oldest = operations_.Oldest(now);
  if (oldest == nullptr) return absl::InfiniteFuture();
  status.Update(HandlesHealth());
  const absl::Time due = oldest->begun + parts_.group.deadline;
  if (status.ok() && now < due) {
    return std::min(due, now + std::min(kLookEvery, parts_.group.deadline / 4));
  }
  if (!status.ok()) {
    // Before anybody finds the device at rest.
    error_ = WithContext(status, Where(oldest->name));
  }
  reporter_ = std::thread([this, found = error_, name = oldest->name] { Report(found, name); });
  return absl::InfiniteFuture();
}

void NcclCommunicator::Report(absl::Status error, const char* name) {
  if (error.ok()) {
    error = RollCall(name);
    absl::MutexLock lock(&mutex_);
    if (!Remember(error)) return;
  }
  EndAll(error);
  if (parts_.on_failure != nullptr) parts_.on_failure(error);
}

// Members that wait in the same collective come to the same roll call, each when its own deadline
// has passed.
absl::Status NcclCommunicator::RollCall(const char* name) {
  const absl::Status called = parts_.roll_call->Barrier();
  return absl::DeadlineExceededError(absl::StrCat(
      Where(name), ": NCCL has not done it within ", absl::FormatDuration(parts_.group.deadline),
      called.ok() ? ", though all members have come"
                  : absl::StrCat(": ", std::string(called.message()))));
}

}  // namespace weft
