#include "launch/control/control_client.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "launch/control/admission.h"
#include "launch/control/job_board.h"
#include "launch/control/rpc.h"
#include "launch/control/run_files.h"
#include "weft/v1/node.grpc.pb.h"

namespace weft {

// The messages to the node service.
struct ControlClient::Wire {
  explicit Wire(const ControlOptions& control_options)
      : options(control_options),
        self(ThisMember(control_options)),
        stub(v1::Node::NewStub(MakeChannel(options.node_address, options.heartbeat))) {}

  // A heartbeat, also with `reported` unless that is OK.
  absl::StatusOr<v1::RankHeartbeatResponse> Heartbeat(int64_t step, int64_t plan_epoch, bool left,
                                                      const absl::Status& reported,
                                                      absl::Duration timeout, bool patient) {
    v1::RankHeartbeatRequest request;
    request.set_job_id(options.job_id);
    *request.mutable_state()->mutable_member() = self;
    request.mutable_state()->set_step(step);
    request.mutable_state()->set_prepared_epoch(plan_epoch);
    request.mutable_state()->set_left(left);
    if (!reported.ok()) *request.mutable_failure() = MakeFailure(self, reported);
    grpc::ClientContext context;
    SetTimeout(context, timeout);
    context.set_wait_for_ready(patient);
    v1::RankHeartbeatResponse response;
    WEFT_RETURN_IF_ERROR(FromGrpc(stub->RankHeartbeat(&context, request, &response)));
    return response;
  }

  absl::StatusOr<ProposedPlan> Fetch(int64_t epoch) {
    v1::FetchPlanRequest request;
    request.set_job_id(options.job_id);
    request.set_epoch(epoch);
    grpc::ClientContext context;
    SetTimeout(context, options.call_timeout());
    v1::FetchPlanResponse plan;
    WEFT_RETURN_IF_ERROR(FromGrpc(stub->FetchPlan(&context, request, &plan)));
    return ProposedPlan{plan.epoch(), std::move(*plan.mutable_json()), plan.fingerprint()};
  }

  const ControlOptions& options;
  const v1::Member self;
  const std::unique_ptr<v1::Node::Stub> stub;
};

ControlClient::ControlClient(const ControlOptions& options, JobBoard* board, AbortCallback on_abort)
    : options_(options),
      board_(board),
      on_abort_(std::move(on_abort)),
      wire_(std::make_unique<Wire>(options_)),
      node_service_(1, options.deadline, options.deadline, MonotonicClock().NowNanos()) {}

ControlClient::~ControlClient() = default;

absl::StatusOr<std::unique_ptr<ControlClient>> ControlClient::Connect(const ControlOptions& options,
                                                                      JobBoard* board,
                                                                      AbortCallback on_abort) {
  WEFT_RETURN_IF_ERROR(ValidateControlOptions(options));
  WEFT_CHECK((board != nullptr) == (options.rank == 0), "rank 0 alone has the job's board");
  std::unique_ptr<ControlClient> client(new ControlClient(options, board, std::move(on_abort)));
  const auto accepted = client->wire_->Heartbeat(0, -1, /*left=*/false, absl::OkStatus(),
                                                 options.deadline, /*patient=*/true);
  if (!accepted.ok()) {
    return WithContext(accepted.status(),
                       absl::StrCat("rank ", options.rank, " cannot join node ", options.node(),
                                    " at ", options.node_address));
  }
  ControlClient* const raw = client.get();
  client->beat_ = std::make_unique<Beat>(options.heartbeat, [raw] { raw->SendBeat(); });
  return client;
}

absl::Status ControlClient::Propose(const ProposedPlan& plan) {
  if (board_ == nullptr) return absl::FailedPreconditionError("only rank 0 proposes plans");
  return board_->Propose(plan);
}

std::optional<ProposedPlan> ControlClient::TakeProposal() {
  const absl::MutexLock lock(&mutex_);
  return shelf_.Take();
}

ControlRequests ControlClient::TakeRequests() {
  return board_ == nullptr ? ControlRequests{} : board_->TakeRequests();
}

void ControlClient::Publish(const JobStatus& status) {
  if (board_ != nullptr) board_->Publish(status);
  const absl::MutexLock lock(&mutex_);
  step_ = status.step;
  plan_epoch_ = status.plan_epoch;
}

void ControlClient::PublishPlan(const std::string& plan_json, const std::string& explanation) {
  if (board_ != nullptr) board_->PublishPlan(plan_json, explanation);
}

void ControlClient::ReportFailure(const absl::Status& status) {
  WEFT_CHECK(!status.ok(), "a failure has a cause");
  {
    const absl::MutexLock lock(&mutex_);
    if (left_ || failure_.has_value()) return;
    if (reported_.ok()) reported_ = WithContext(status, DescribeMember(wire_->self));
  }
  beat_->Wake();
  failed_.Wait(options_.deadline + options_.call_timeout());
}

std::optional<Failure> ControlClient::failure() const {
  const absl::MutexLock lock(&mutex_);
  return failure_;
}

absl::Status ControlClient::Leave() {
  beat_->Stop();
  int64_t step = 0;
  int64_t plan_epoch = 0;
  {
    const absl::MutexLock lock(&mutex_);
    if (left_ || failure_.has_value()) return absl::OkStatus();
    left_ = true;
    step = step_;
    plan_epoch = plan_epoch_;
  }
  return wire_
      ->Heartbeat(step, plan_epoch, /*left=*/true, absl::OkStatus(), options_.deadline,
                  /*patient=*/true)
      .status();
}

void ControlClient::SendBeat() {
  int64_t step = 0;
  int64_t plan_epoch = 0;
  absl::Status reported;
  {
    const absl::MutexLock lock(&mutex_);
    if (failure_.has_value()) return;
    step = step_;
    plan_epoch = plan_epoch_;
    reported = reported_;
  }
  const absl::StatusOr<v1::RankHeartbeatResponse> answer = wire_->Heartbeat(
      step, plan_epoch, /*left=*/false, reported, options_.call_timeout(), /*patient=*/false);
  const int64_t now = MonotonicClock().NowNanos();
  if (answer.ok()) node_service_.Hear(0, now);
  const bool unheard = node_service_.FindOverdue(now).has_value();
  if (answer.ok()) {
    if (answer->has_failure()) return End(FromMessage(answer->failure()));
    int64_t newest = 0;
    {
      const absl::MutexLock lock(&mutex_);
      newest = shelf_.newest_epoch();
    }
    if (answer->newest_epoch() > newest) FetchPlan(answer->newest_epoch());
  } else if (unheard && !reported.ok()) {
    End(FromMessage(MakeFailure(wire_->self, reported)));
  } else if (unheard) {
    v1::Member host;
    host.set_rank(options_.first_rank_of(options_.node()));
    host.set_node(options_.node());
    const absl::Status lost =
        LostStatus(absl::StrCat("the service of node ", host.node(), " (rank ", host.rank(), ", ",
                                options_.node_address, ")"),
                   /*ever_heard=*/true, node_service_.Silence(0, now));
    End(FromMessage(MakeFailure(
        host, absl::UnavailableError(absl::StrCat(lost.message(), " by rank ", options_.rank, ": ",
                                                  answer.status().message())))));
  }
}

void ControlClient::FetchPlan(int64_t epoch) {
  absl::StatusOr<ProposedPlan> plan = wire_->Fetch(epoch);
  absl::Status taken = plan.status();
  if (plan.ok()) {
    const absl::MutexLock lock(&mutex_);
    taken = shelf_.Put(*plan);
  }
  // The job goes on under its present plan, and the next beat tries again.
  if (!taken.ok()) {
    LogWarning(
        absl::StrCat("plan epoch ", epoch, " could not be taken: ", std::string(taken.message())));
  }
}

void ControlClient::End(const Failure& failure) {
  {
    const absl::MutexLock lock(&mutex_);
    failure_ = failure;
  }
  failed_.Set();
  if (!options_.run_directory.empty()) {
    const absl::Status written = WriteFailureFile(options_.run_directory, failure);
    if (!written.ok()) LogWarning(std::string(written.message()));
  }
  on_abort_(failure.cause);
}

}  // namespace weft
