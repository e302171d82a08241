#include "launch/control/admission.h"

#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "launch/control/failure.h"

namespace weft {

absl::Status CheckJob(const ControlOptions& options, uint64_t job_id) {
  if (job_id == options.job_id) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("this is job ", absl::Hex(options.job_id),
                                                 "; the message is for job ", absl::Hex(job_id)));
}

absl::Status CheckMember(const ControlOptions& options, const v1::Member& sender,
                         const v1::Member& known) {
  if (sender.rank() < 0 || sender.rank() >= options.world_size) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", sender.rank(), " is not one of 0..", options.world_size - 1));
  }
  const int32_t node = sender.rank() / options.ranks_per_node;
  if (sender.node() != node) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", sender.rank(), " is on node ", node,
                                                   ", not on node ", sender.node()));
  }
  const bool same = sender.host() == known.host() && sender.pid() == known.pid();
  if (!known.host().empty() && !same) {
    return absl::InvalidArgumentError(
        absl::StrCat(DescribeMember(known), " is known; a message from host ", sender.host(),
                     ", pid ", sender.pid(), " in its name is refused"));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::FetchPlanResponse> FetchFrom(const PlanShelf& shelf,
                                                const ControlOptions& options,
                                                const v1::FetchPlanRequest& request) {
  if (absl::Status job = CheckJob(options, request.job_id()); !job.ok()) return job;
  absl::StatusOr<ProposedPlan> plan = shelf.Get(request.epoch());
  if (!plan.ok()) return plan.status();
  v1::FetchPlanResponse response;
  response.set_epoch(plan->epoch);
  response.set_fingerprint(plan->fingerprint);
  response.set_json(std::move(plan->json));
  return response;
}

v1::Member ThisMember(const ControlOptions& options) {
  char host[256] = "";
  gethostname(host, sizeof(host) - 1);
  v1::Member member;
  member.set_rank(options.rank);
  member.set_node(options.node());
  member.set_host(host);
  member.set_pid(getpid());
  return member;
}

absl::Status LostStatus(const std::string& who, bool ever_heard, absl::Duration silence) {
  const double seconds = absl::ToDoubleSeconds(silence);
  return absl::UnavailableError(
      ever_heard ? absl::StrFormat("%s has not been heard of for %.1f s", who, seconds)
                 : absl::StrFormat("%s was never heard of, for %.1f s", who, seconds));
}

}  // namespace weft
