#include "launch/commands/launch_outcome.h"

#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "launch/commands/exit_codes.h"

namespace weft {
namespace {

constexpr int kMaxSignal = 64;

bool KilledBySignal(const RanksEnd& end) {
  return end.status > 128 && end.status <= 128 + kMaxSignal;
}

int CodeOf(const RanksEnd& end, bool failed) {
  if (end.forced || KilledBySignal(end)) return kExitWorkerFailed;
  if (end.status == 0 && failed) return kExitInternal;
  return end.status;
}

std::string ReasonOf(const RanksEnd& end, const std::optional<Failure>& failure) {
  const std::string who = end.rank < 0 ? "a rank" : absl::StrCat("rank ", end.rank);
  if (failure.has_value()) return std::string(failure->cause.message());
  if (end.forced) return "did not end in time after it was asked to, and was ended by force";
  if (KilledBySignal(end)) {
    const int signal = end.status - 128;
    return absl::StrCat(who, " was killed by signal ", signal, " (", strsignal(signal), ")");
  }
  switch (end.status) {
    case kExitDone:
      return "finished";
    case kExitUsage:
      return absl::StrCat(who, " refused the command line or the configuration");
    case kExitStopped:
      return "stopped by request with a checkpoint; start again to go on";
    default:
      return absl::StrCat(who, " ended with exit code ", end.status);
  }
}

}  // namespace

ExitFile JudgeEnd(const RanksEnd& end, const std::optional<Failure>& told) {
  const bool seen_killed = end.witnessed && end.rank >= 0 && KilledBySignal(end);
  // That somebody is gone, or, where another stream of the rank had found that out first, that its
  // communicators were aborted.
  const bool told_of_others =
      told.has_value() && (absl::IsUnavailable(told->cause) || absl::IsAborted(told->cause));
  const std::optional<Failure> failure = seen_killed && told_of_others ? std::nullopt : told;
  ExitFile file;
  file.exit_code = CodeOf(end, failure.has_value());
  file.reason = ReasonOf(end, failure);
  file.mpirun_status = end.status;
  const bool blameless = file.exit_code == kExitDone || file.exit_code == kExitStopped;
  if (!blameless) file.rank = failure.has_value() ? failure->rank : end.rank;
  file.ended = UtcNow();
  return file;
}

}  // namespace weft
