#include "comm/nccl/nccl_operations.h"

#include "tensor/device/cuda/cuda_error.h"

namespace weft {

NcclOperations::~NcclOperations() {
  for (const Operation& operation : operations_) {
    free_.push_back(operation.begin);
    free_.push_back(operation.end);
  }
  for (cudaEvent_t event : free_) cudaEventDestroy(event);
}

cudaEvent_t NcclOperations::TakeEvent() {
  cudaEvent_t event = nullptr;
  if (free_.empty()) {
    CheckCuda(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
    return event;
  }
  event = free_.back();
  free_.pop_back();
  return event;
}

const NcclOperations::Operation& NcclOperations::Add(const char* name, absl::Time now) {
  return operations_.emplace_back(Operation{name, TakeEvent(), TakeEvent(), false, now});
}

void NcclOperations::Issued() {
  operations_.back().issued = true;
  operations_.back().begun = absl::InfiniteFuture();
}

absl::Status NcclOperations::Prune() {
  while (!operations_.empty() && operations_.front().issued) {
    const Operation& oldest = operations_.front();
    const cudaError_t error = cudaEventQuery(oldest.end);
    if (error == cudaErrorNotReady) return absl::OkStatus();
    if (error != cudaSuccess) {
      return absl::InternalError(CudaErrorText(error, "a collective on the device"));
    }
    free_.push_back(oldest.begin);
    free_.push_back(oldest.end);
    operations_.pop_front();
  }
  return absl::OkStatus();
}

const NcclOperations::Operation* NcclOperations::Oldest(absl::Time now) {
  if (operations_.empty()) return nullptr;
  Operation& oldest = operations_.front();
  // Behind other work of its stream it has not begun, however long that takes.
  if (oldest.issued && oldest.begun == absl::InfiniteFuture() &&
      cudaEventQuery(oldest.begin) != cudaErrorNotReady) {
    oldest.begun = now;
  }
  return &oldest;
}

}  // namespace weft
