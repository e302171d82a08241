#include "launch/commands/child_ranks.h"

#include <signal.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "launch/commands/exit_codes.h"
#include "launch/commands/launch_signals.h"
#include "launch/control/run_files.h"
#include "launch/processes/rank_processes.h"

namespace weft {
namespace {

// From the first failure until the others are killed: longer than they need to notice
// (service.heartbeat_deadline) and to tell each other.
constexpr absl::Duration kOthersLeaveWithin = absl::Seconds(10);

class Watch {
 public:
  Watch(RankProcesses& ranks, LaunchSignals& signals, absl::Duration grace)
      : ranks_(ranks), signals_(signals), grace_(grace) {}

  RanksEnd UntilEnded() {
    while (!ranks_.running().empty()) {
      ranks_.Wait(deadline_, signals_.fd());
      for (int requests = signals_.TakeRequests(); requests > 0; --requests) TakeRequest();
      if (!killing_) LookForFailure();
      if (absl::Now() >= deadline_) Force();
    }
    return end_;
  }

 private:
  void TakeRequest() {
    if (end_.stop_requested) {
      Force();
      return;
    }
    LogInfo("asked all ranks to write a checkpoint and end; another signal ends them by force");
    end_.stop_requested = true;
    ranks_.Signal(SIGUSR1);
    EndWithin(grace_);
  }

  // A rank that somebody else killed is the cause even where another one, which has noticed, had
  // ended before: it takes a while until all memory of who was killed is free.
  void LookForFailure() {
    for (const RankEnd& end : ranks_.ended()) {
      if (end.status == kExitDone) continue;
      const bool first = end_.rank < 0;
      const bool found_killed = KilledBySignal({end_.rank, end_.status});
      if (!first && (found_killed || !KilledByAnother(end))) continue;
      end_.status = end.status;
      if (end.status == kExitStopped) continue;
      end_.rank = end.rank;
      if (!first) continue;
      ranks_.Signal(SIGTERM);
      EndWithin(kOthersLeaveWithin);
    }
  }

  static bool KilledByAnother(const RankEnd& end) {
    return KilledBySignal(end) && end.status != 128 + SIGTERM;
  }

  void Force() {
    // Those that are left behind a failure were not asked by anybody.
    if (end_.rank < 0) {
      LogWarning("ending all ranks by force");
      end_.forced = true;
    }
    killing_ = true;
    ranks_.Kill();
    deadline_ = absl::InfiniteFuture();
  }

  void EndWithin(absl::Duration time) { deadline_ = std::min(deadline_, absl::Now() + time); }

  RankProcesses& ranks_;
  LaunchSignals& signals_;
  const absl::Duration grace_;
  absl::Time deadline_ = absl::InfiniteFuture();
  bool killing_ = false;  // from here on ends say nothing
  RanksEnd end_;
};

}  // namespace

absl::StatusOr<RanksEnd> RunChildRanks(const LaunchOptions& options) {
  LaunchSignals signals;
  WEFT_RETURN_IF_ERROR(signals.status());
  RankProcessesOptions processes;
  processes.ranks = options.ranks;
  processes.command = options.command;
  processes.rendezvous = options.launch_directory;
  processes.variables = {absl::StrCat(kLaunchDirectoryVariable, "=", options.launch_directory)};
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<RankProcesses> ranks,
                        RankProcesses::Start(processes));
  RanksEnd end = Watch(*ranks, signals, options.grace).UntilEnded();
  end.witnessed = true;
  return end;
}

}  // namespace weft
