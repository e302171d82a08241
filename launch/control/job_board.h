#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "launch/control/beat.h"
#include "launch/control/control_options.h"
#include "launch/control/plan_shelf.h"
#include "launch/control/roster.h"
#include "runtime/coordination.h"
#include "weft/v1/control.pb.h"

namespace weft {

// What rank 0 knows of its job: status, plan, requests of people, the plan on offer, the nodes and
// the first cause of the job's end. The coordinator serves it over gRPC, rank 0's own client uses
// it directly. Knows no network and no thread of its own: silence is looked for whenever a node is
// heard of, and node 0 is as long as rank 0 lives. Thread-safe.
class JobBoard {
 public:
  explicit JobBoard(const ControlOptions& options, const Clock& clock = MonotonicClock());

  // Rank 0's step loop (runtime/coordination.h).
  absl::Status Propose(const ProposedPlan& plan);
  ControlRequests TakeRequests();
  void Publish(const JobStatus& status);
  void PublishPlan(const std::string& plan_json, const std::string& explanation);

  // People.
  absl::StatusOr<v1::GetStatusResponse> GetStatus(const v1::GetStatusRequest& request);
  absl::StatusOr<v1::GetPlanResponse> GetPlan(const v1::GetPlanRequest& request);
  absl::StatusOr<v1::StopResponse> Stop(const v1::StopRequest& request);
  absl::StatusOr<v1::CheckpointResponse> Checkpoint(const v1::CheckpointRequest& request);

  // Node services. Errors are kInvalidArgument for a sender that cannot be (other job, rank or
  // process).
  absl::StatusOr<v1::NodeHeartbeatResponse> Hear(const v1::NodeHeartbeatRequest& request);
  absl::StatusOr<v1::FetchPlanResponse> Fetch(const v1::FetchPlanRequest& request);

  // Blocks until every node has left, or, when the job has failed, has been given the cause or is
  // itself lost. kDeadlineExceeded naming the others after `timeout`.
  absl::Status AwaitEnd(absl::Duration timeout);

 private:
  absl::Status CheckPerson(uint64_t job_id) const;
  void FindSilentNode(int64_t now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<int32_t> PendingNodes(int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ControlOptions options_;
  const Clock& clock_;
  OnceEvent ended_;

  absl::Mutex mutex_;
  JobStatus status_ ABSL_GUARDED_BY(mutex_);
  std::string plan_json_ ABSL_GUARDED_BY(mutex_);
  std::string explanation_ ABSL_GUARDED_BY(mutex_);
  ControlRequests requests_ ABSL_GUARDED_BY(mutex_);
  PlanShelf shelf_ ABSL_GUARDED_BY(mutex_);
  Roster roster_ ABSL_GUARDED_BY(mutex_);                  // of nodes
  std::vector<v1::Member> hosts_ ABSL_GUARDED_BY(mutex_);  // of the node services, by node
  std::vector<std::optional<v1::RankState>> ranks_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Failure> failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
