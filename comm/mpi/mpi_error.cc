#include "comm/mpi/mpi_error.h"

#include <mpi.h>

#include <array>
#include <string>

#include "absl/strings/str_cat.h"

namespace weft {

absl::Status MpiStatus(int code, std::string_view what) {
  if (code == MPI_SUCCESS) return absl::OkStatus();
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  return absl::UnavailableError(
      absl::StrCat(std::string(what), ": ", std::string(text.data(), static_cast<size_t>(length))));
}

}  // namespace weft
