#include "base/status_macros.h"

#include "absl/strings/str_cat.h"

namespace weft {

absl::Status WithContext(const absl::Status& status, const std::string& context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(context, ": ", status.message()));
}

}  // namespace weft
