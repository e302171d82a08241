#include "launch/control/node_board.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "launch/control/admission.h"
#include "launch/control/failure.h"

namespace weft {

NodeBoard::NodeBoard(const ControlOptions& options, const Clock& clock)
    : options_(options),
      clock_(clock),
      first_rank_(options.first_rank_of(options.node())),
      self_(ThisMember(options)),
      roster_(options.num_ranks_of(options.node()), options.deadline, options.join_deadline,
              clock.NowNanos()),
      coordinator_(1, options.deadline, options.deadline, clock.NowNanos()),
      ranks_(options.num_ranks_of(options.node())) {
  for (size_t i = 0; i < ranks_.size(); ++i) {
    ranks_[i].mutable_member()->set_rank(first_rank_ + static_cast<int32_t>(i));
    ranks_[i].mutable_member()->set_node(options.node());
  }
}

absl::Status NodeBoard::CheckRank(const v1::Member& sender) const {
  WEFT_RETURN_IF_ERROR(CheckMember(options_, sender, v1::Member()));
  if (sender.node() != options_.node()) {
    return absl::InvalidArgumentError(absl::StrCat("rank ", sender.rank(), " is on node ",
                                                   sender.node(), "; this is the service of node ",
                                                   options_.node()));
  }
  return CheckMember(options_, sender, ranks_[sender.rank() - first_rank_].member());
}

absl::StatusOr<v1::RankHeartbeatResponse> NodeBoard::Hear(const v1::RankHeartbeatRequest& request) {
  WEFT_RETURN_IF_ERROR(CheckJob(options_, request.job_id()));
  const absl::MutexLock lock(&mutex_);
  WEFT_RETURN_IF_ERROR(CheckRank(request.state().member()));
  const int32_t local = request.state().member().rank() - first_rank_;
  const int64_t now = clock_.NowNanos();
  ranks_[local] = request.state();
  roster_.Hear(local, now);
  if (request.state().left()) roster_.Leave(local);
  if (request.has_failure() && !failure_.has_value()) failure_ = request.failure();

  v1::RankHeartbeatResponse response;
  response.set_newest_epoch(shelf_.newest_epoch());
  if (failure_.has_value()) {
    *response.mutable_failure() = *failure_;
    roster_.Tell(local);
  }
  if (Pending(now).empty()) ended_.Set();
  return response;
}

absl::StatusOr<v1::FetchPlanResponse> NodeBoard::Fetch(const v1::FetchPlanRequest& request) {
  const absl::MutexLock lock(&mutex_);
  return FetchFrom(shelf_, options_, request);
}

v1::NodeHeartbeatRequest NodeBoard::MakeReport(bool leaving) {
  const absl::MutexLock lock(&mutex_);
  const int64_t now = clock_.NowNanos();
  const std::optional<int32_t> lost = roster_.FindOverdue(now);
  if (lost.has_value() && !failure_.has_value()) {
    const v1::Member& member = ranks_[*lost].member();
    failure_ = MakeFailure(member, LostStatus(DescribeMember(member), roster_.heard(*lost),
                                              roster_.Silence(*lost, now)));
  }
  if (Pending(now).empty()) ended_.Set();

  v1::NodeHeartbeatRequest report;
  report.set_job_id(options_.job_id);
  *report.mutable_member() = self_;
  report.set_left(leaving);
  for (size_t i = 0; i < ranks_.size(); ++i) {
    const auto local = static_cast<int32_t>(i);
    if (!roster_.heard(local)) continue;
    v1::RankState* rank = report.add_ranks();
    *rank = ranks_[i];
    rank->set_silent_millis(absl::ToInt64Milliseconds(roster_.Silence(local, now)));
  }
  if (failure_.has_value()) *report.mutable_failure() = *failure_;
  return report;
}

std::optional<int64_t> NodeBoard::Absorb(const v1::NodeHeartbeatResponse& response) {
  const absl::MutexLock lock(&mutex_);
  const int64_t now = clock_.NowNanos();
  coordinator_.Hear(0, now);
  coordinator_.FindOverdue(now);
  if (response.has_failure()) {
    failure_ = response.failure();  // the job's first cause goes before this node's
    coordinator_.Tell(0);
  }
  if (Pending(now).empty()) ended_.Set();
  if (response.newest_epoch() <= shelf_.newest_epoch()) return std::nullopt;
  return response.newest_epoch();
}

void NodeBoard::RecordNoAnswer(const absl::Status& error) {
  const absl::MutexLock lock(&mutex_);
  const int64_t now = clock_.NowNanos();
  const bool overdue = coordinator_.FindOverdue(now).has_value();
  if (overdue && !failure_.has_value()) {
    v1::Member rank0;
    const absl::Status lost =
        LostStatus(absl::StrCat("the coordinator (rank 0, ", options_.coordinator_address, ")"),
                   coordinator_.heard(0), coordinator_.Silence(0, now));
    failure_ = MakeFailure(
        rank0, absl::UnavailableError(absl::StrCat(lost.message(), " by node ", options_.node(),
                                                   ": ", error.message())));
  }
  if (Pending(now).empty()) ended_.Set();
}

absl::Status NodeBoard::PutPlan(const v1::FetchPlanResponse& plan) {
  const absl::MutexLock lock(&mutex_);
  return shelf_.Put(ProposedPlan{plan.epoch(), plan.json(), plan.fingerprint()});
}

std::vector<std::string> NodeBoard::Pending(int64_t now) const {
  const bool failed = failure_.has_value();
  std::vector<std::string> pending;
  for (const int32_t local : roster_.Pending(failed, now)) {
    pending.push_back(absl::StrCat("rank ", first_rank_ + local));
  }
  if (failed && !coordinator_.Pending(failed, now).empty()) pending.push_back("the coordinator");
  return pending;
}

bool NodeBoard::failed() {
  const absl::MutexLock lock(&mutex_);
  return failure_.has_value();
}

absl::Status NodeBoard::AwaitEnd(absl::Duration timeout) {
  if (ended_.Wait(timeout)) return absl::OkStatus();
  const absl::MutexLock lock(&mutex_);
  return absl::DeadlineExceededError(absl::StrCat(
      "the service of node ", options_.node(), " waited ", absl::FormatDuration(timeout),
      " for the end of ", absl::StrJoin(Pending(clock_.NowNanos()), ", ")));
}

}  // namespace weft
