#include "base/thread_group.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/log.h"

namespace weft {

void EnterComputeGroup() {
  const char* const group = std::getenv("WEFT_COMPUTE_CGROUP");
  if (group == nullptr || *group == '\0') return;
  // Version 2 has cgroup.threads, version 1 has tasks.
  const std::string threads = absl::StrCat(group, "/cgroup.threads");
  const std::string file =
      std::filesystem::exists(threads) ? threads : absl::StrCat(group, "/tasks");
  std::ofstream out(file, std::ios::app);
  out << syscall(SYS_gettid) << std::endl;
  if (!out) LogWarning(absl::StrCat("WEFT_COMPUTE_CGROUP: cannot enter ", file));
}

}  // namespace weft
