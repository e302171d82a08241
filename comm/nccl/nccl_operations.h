#pragma once

#include <cuda_runtime.h>

#include <deque>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace weft {

// The collectives of one communicator that may not have ended, in the order of their calls. Events
// before and behind each tell where the device is. Not thread-safe.
class NcclOperations {
 public:
  struct Operation {
    const char* name;
    cudaEvent_t begin, end;
    bool issued;       // all of it is in its stream; not: NCCL still prepares it
    absl::Time begun;  // when it could begin; in the infinite future as long as nobody knows
  };

  NcclOperations() = default;
  ~NcclOperations();
  NcclOperations(const NcclOperations&) = delete;
  NcclOperations& operator=(const NcclOperations&) = delete;

  // The newest, still being prepared: from now on it should get on. REQUIRES: the one before has
  // been issued.
  const Operation& Add(const char* name, absl::Time now);
  // All of the newest is in its stream.
  void Issued();
  // Forgets what has ended on the device. kInternal: the device is in error.
  absl::Status Prune();
  // The oldest, and since when it could have run; null when all have ended.
  const Operation* Oldest(absl::Time now);

 private:
  cudaEvent_t TakeEvent();

  std::deque<Operation> operations_;
  std::vector<cudaEvent_t> free_;  // a warm step makes none
};

}  // namespace weft
