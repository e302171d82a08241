#pragma once

#include "absl/status/status.h"
#include "comm/nccl/nccl_library.h"

namespace weft {

// OK for success. kInternal where NCCL says that it was called wrongly; otherwise kUnavailable: a
// link, a peer or a device is gone. "NCCL: WHAT: its words (its last warning)"; `comm` may be null.
absl::Status NcclStatus(const NcclLibrary& nccl, ncclComm_t comm, ncclResult_t result,
                        const char* what);

}  // namespace weft
