#include "comm/nccl/nccl_error.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace weft {

absl::Status NcclStatus(const NcclLibrary& nccl, ncclComm_t comm, ncclResult_t result,
                        const char* what) {
  if (result == ncclSuccess) return absl::OkStatus();
  std::string text = absl::StrCat("NCCL: ", what, ": ", nccl.GetErrorString(result));
  const char* const warning = nccl.GetLastError(comm);
  if (warning != nullptr && *warning != '\0') absl::StrAppend(&text, " (", warning, ")");
  const bool called_wrongly = result == ncclInvalidArgument || result == ncclInvalidUsage;
  return called_wrongly ? absl::InternalError(text) : absl::UnavailableError(text);
}

}  // namespace weft
