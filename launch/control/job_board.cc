#include "launch/control/job_board.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "launch/control/admission.h"
#include "launch/control/failure.h"

namespace weft {
namespace {

v1::JobStatus ToMessage(const JobStatus& status) {
  v1::JobStatus message;
  message.set_name(status.name);
  message.set_phase(status.phase);
  message.set_run_directory(status.run_directory);
  message.set_world_size(status.world_size);
  message.set_step(status.step);
  message.set_total_steps(status.total_steps);
  message.set_loss(status.loss);
  message.set_val_bits_per_byte(status.val_bits_per_byte);
  message.set_tokens_per_second(status.tokens_per_second);
  message.set_plan_epoch(status.plan_epoch);
  message.set_predicted_step_seconds(status.predicted_step_seconds);
  message.set_measured_step_seconds(status.measured_step_seconds);
  message.set_last_checkpoint_step(status.last_checkpoint_step);
  return message;
}

}  // namespace

JobBoard::JobBoard(const ControlOptions& options, const Clock& clock)
    : options_(options),
      clock_(clock),
      roster_(options.num_nodes(), options.deadline, options.join_deadline, clock.NowNanos()),
      hosts_(options.num_nodes()),
      ranks_(options.world_size) {
  status_.world_size = options.world_size;
  status_.run_directory = options.run_directory;
  status_.phase = "starting";
  for (int32_t node = 0; node < options_.num_nodes(); ++node) {
    hosts_[node].set_rank(options_.first_rank_of(node));
    hosts_[node].set_node(node);
  }
}

absl::Status JobBoard::Propose(const ProposedPlan& plan) {
  const absl::MutexLock lock(&mutex_);
  return shelf_.Put(plan);
}

ControlRequests JobBoard::TakeRequests() {
  const absl::MutexLock lock(&mutex_);
  return std::exchange(requests_, ControlRequests{});
}

void JobBoard::Publish(const JobStatus& status) {
  const absl::MutexLock lock(&mutex_);
  status_ = status;
}

void JobBoard::PublishPlan(const std::string& plan_json, const std::string& explanation) {
  const absl::MutexLock lock(&mutex_);
  plan_json_ = plan_json;
  explanation_ = explanation;
}

absl::Status JobBoard::CheckPerson(uint64_t job_id) const {
  return job_id == 0 ? absl::OkStatus() : CheckJob(options_, job_id);
}

absl::StatusOr<v1::GetStatusResponse> JobBoard::GetStatus(const v1::GetStatusRequest& request) {
  WEFT_RETURN_IF_ERROR(CheckPerson(request.job_id()));
  const absl::MutexLock lock(&mutex_);
  const int64_t now = clock_.NowNanos();
  v1::GetStatusResponse response;
  *response.mutable_job() = ToMessage(status_);
  for (const std::optional<v1::RankState>& rank : ranks_) {
    if (!rank.has_value()) continue;
    v1::RankState* shown = response.add_ranks();
    *shown = *rank;
    // Silent at its node when the node last spoke, and the node since.
    shown->set_silent_millis(rank->silent_millis() + absl::ToInt64Milliseconds(roster_.Silence(
                                                         rank->member().node(), now)));
  }
  if (failure_.has_value()) *response.mutable_failure() = *failure_;
  return response;
}

absl::StatusOr<v1::GetPlanResponse> JobBoard::GetPlan(const v1::GetPlanRequest& request) {
  WEFT_RETURN_IF_ERROR(CheckPerson(request.job_id()));
  const absl::MutexLock lock(&mutex_);
  if (plan_json_.empty()) return absl::FailedPreconditionError("the job has no plan yet");
  v1::GetPlanResponse response;
  response.set_plan_json(plan_json_);
  response.set_explanation(explanation_);
  return response;
}

absl::StatusOr<v1::StopResponse> JobBoard::Stop(const v1::StopRequest& request) {
  WEFT_RETURN_IF_ERROR(CheckPerson(request.job_id()));
  const absl::MutexLock lock(&mutex_);
  requests_.stop = true;
  v1::StopResponse response;
  response.set_step(status_.step);
  return response;
}

absl::StatusOr<v1::CheckpointResponse> JobBoard::Checkpoint(const v1::CheckpointRequest& request) {
  WEFT_RETURN_IF_ERROR(CheckPerson(request.job_id()));
  const absl::MutexLock lock(&mutex_);
  requests_.checkpoint = true;
  v1::CheckpointResponse response;
  response.set_step(status_.step);
  return response;
}

absl::StatusOr<v1::NodeHeartbeatResponse> JobBoard::Hear(const v1::NodeHeartbeatRequest& request) {
  WEFT_RETURN_IF_ERROR(CheckJob(options_, request.job_id()));
  const absl::MutexLock lock(&mutex_);
  const v1::Member& sender = request.member();
  const int32_t node = sender.node();
  if (node < 0 || node >= options_.num_nodes() || sender.rank() != options_.first_rank_of(node)) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", sender.rank(), " does not host the service of node ", node));
  }
  WEFT_RETURN_IF_ERROR(CheckMember(options_, sender, hosts_[node]));
  for (const v1::RankState& rank : request.ranks()) {
    WEFT_RETURN_IF_ERROR(CheckMember(options_, rank.member(), v1::Member()));
    if (rank.member().node() != node) {
      return absl::InvalidArgumentError(absl::StrCat("node ", node, " cannot speak for rank ",
                                                     rank.member().rank(), " of node ",
                                                     rank.member().node()));
    }
  }

  const int64_t now = clock_.NowNanos();
  hosts_[node] = sender;
  roster_.Hear(node, now);
  if (request.left()) roster_.Leave(node);
  for (const v1::RankState& rank : request.ranks()) ranks_[rank.member().rank()] = rank;
  if (request.has_failure() && !failure_.has_value()) failure_ = request.failure();
  FindSilentNode(now);

  v1::NodeHeartbeatResponse response;
  response.set_newest_epoch(shelf_.newest_epoch());
  if (failure_.has_value()) {
    *response.mutable_failure() = *failure_;
    roster_.Tell(node);
  }
  if (PendingNodes(now).empty()) ended_.Set();
  return response;
}

absl::StatusOr<v1::FetchPlanResponse> JobBoard::Fetch(const v1::FetchPlanRequest& request) {
  const absl::MutexLock lock(&mutex_);
  return FetchFrom(shelf_, options_, request);
}

void JobBoard::FindSilentNode(int64_t now) {
  const std::optional<int32_t> node = roster_.FindOverdue(now);
  if (!node.has_value() || failure_.has_value()) return;
  const v1::Member& host = hosts_[*node];
  failure_ = MakeFailure(
      host, LostStatus(DescribeMember(host), roster_.heard(*node), roster_.Silence(*node, now)));
}

std::vector<int32_t> JobBoard::PendingNodes(int64_t now) const {
  return roster_.Pending(failure_.has_value(), now);
}

absl::Status JobBoard::AwaitEnd(absl::Duration timeout) {
  if (ended_.Wait(timeout)) return absl::OkStatus();
  const absl::MutexLock lock(&mutex_);
  return absl::DeadlineExceededError(
      absl::StrCat("the coordinator waited ", absl::FormatDuration(timeout),
                   " for the end of node ", absl::StrJoin(PendingNodes(clock_.NowNanos()), ", ")));
}

}  // namespace weft
