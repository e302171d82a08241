#include "runtime/run_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "runtime/storage/durable_file.h"

namespace weft {

absl::StatusOr<RunDirectory> RunDirectory::Make(const std::string& parent,
                                                const std::string& name) {
  WEFT_RETURN_IF_ERROR(MakeDirectories(parent));
  const std::time_t now = std::time(nullptr);
  tm parts{};
  localtime_r(&now, &parts);
  char stamp[32];
  std::strftime(stamp, sizeof(stamp), "%Y%m%d-%H%M%S", &parts);
  const std::string base = absl::StrCat(stamp, "-", name);
  std::string leaf = base;
  for (int attempt = 2; ::mkdir(absl::StrCat(parent, "/", leaf).c_str(), 0777) != 0; ++attempt) {
    if (errno != EEXIST) return FileError("cannot make", absl::StrCat(parent, "/", leaf), errno);
    leaf = absl::StrCat(base, "-", attempt);  // two runs in one second
  }
  const std::string latest = absl::StrCat(parent, "/latest");
  const std::string fresh = absl::StrCat(latest, TemporarySuffix());
  if (::symlink(leaf.c_str(), fresh.c_str()) != 0) return FileError("cannot link", fresh, errno);
  WEFT_RETURN_IF_ERROR(RenameFile(fresh, latest));
  return RunDirectory(absl::StrCat(parent, "/", leaf));
}

std::string RunDirectory::Join(std::string_view file) const {
  return absl::StrCat(path_, "/", std::string(file));
}

absl::Status RunDirectory::Write(std::string_view file, std::string_view content) const {
  return WriteFileAtomically(Join(file), content);
}

}  // namespace weft
