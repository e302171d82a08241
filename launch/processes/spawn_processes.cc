#include "launch/processes/spawn_processes.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status_macros.h"
#include "base/temporary_directory.h"
#include "launch/processes/rank_processes.h"

namespace weft {

absl::Status SpawnProcesses(int32_t world_size, const std::vector<std::string>& arguments,
                            absl::Duration deadline) {
  const absl::Time until = absl::Now() + deadline;
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return absl::ErrnoToStatus(error.value(), "cannot find the running program");
  WEFT_ASSIGN_OR_RETURN(const TemporaryDirectory rendezvous, TemporaryDirectory::Make());
  RankProcessesOptions options;
  options.ranks = world_size;
  options.command = {self};
  options.command.insert(options.command.end(), arguments.begin(), arguments.end());
  options.rendezvous = rendezvous.path();
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<RankProcesses> ranks, RankProcesses::Start(options));
  while (!ranks->running().empty()) {
    ranks->Wait(until);
    const auto failed = std::find_if(ranks->ended().begin(), ranks->ended().end(),
                                     [](const RankEnd& end) { return end.status != 0; });
    if (failed != ranks->ended().end()) return absl::UnavailableError(Describe(*failed));
    const std::vector<int32_t> running = ranks->running();
    if (running.empty() || absl::Now() < until) continue;
    return absl::DeadlineExceededError(
        absl::StrCat(running.size() == 1 ? "rank " : "ranks ", absl::StrJoin(running, ", "),
                     running.size() == 1 ? " has" : " have", " not ended within ",
                     absl::FormatDuration(deadline)));
  }
  return absl::OkStatus();
}

}  // namespace weft
