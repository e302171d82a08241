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
#include "weft/v1/control.pb.h"
#include "weft/v1/node.pb.h"

namespace weft {

// What the node service of one node knows: its ranks, the newest plan it holds, the first cause of
// the job's end, and whether the coordinator still answers. Knows no network: the node service
// carries the messages. Thread-safe.
class NodeBoard {
 public:
  explicit NodeBoard(const ControlOptions& options, const Clock& clock = MonotonicClock());

  // From the ranks of this node. kInvalidArgument for a sender that cannot be (other job, node,
  // rank or process).
  absl::StatusOr<v1::RankHeartbeatResponse> Hear(const v1::RankHeartbeatRequest& request);
  absl::StatusOr<v1::FetchPlanResponse> Fetch(const v1::FetchPlanRequest& request);

  // The next message to the coordinator. Finds the ranks that have fallen silent; called regularly.
  v1::NodeHeartbeatRequest MakeReport(bool leaving);
  // The coordinator's answer. Returns the epoch of a plan to fetch, if it has a newer one.
  std::optional<int64_t> Absorb(const v1::NodeHeartbeatResponse& response);
  // The coordinator did not answer. Beyond the deadline that is a failure of rank 0.
  void RecordNoAnswer(const absl::Status& error);
  absl::Status PutPlan(const v1::FetchPlanResponse& plan);

  bool failed();  // the job has a first cause

  // Blocks until every rank of the node has left, or, when the job has failed, all who can listen
  // know the cause: the ranks and the coordinator. kDeadlineExceeded naming the others after
  // `timeout`.
  absl::Status AwaitEnd(absl::Duration timeout);

 private:
  absl::Status CheckRank(const v1::Member& sender) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whom the end of this node's service still waits for: "rank 3", "the coordinator".
  std::vector<std::string> Pending(int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ControlOptions options_;
  const Clock& clock_;
  const int32_t first_rank_;
  const v1::Member self_;
  OnceEvent ended_;

  absl::Mutex mutex_;
  PlanShelf shelf_ ABSL_GUARDED_BY(mutex_);
  Roster roster_ ABSL_GUARDED_BY(mutex_);       // of this node's ranks
  Roster coordinator_ ABSL_GUARDED_BY(mutex_);  // of one
  std::vector<v1::RankState> ranks_ ABSL_GUARDED_BY(mutex_);
  std::optional<v1::Failure> failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
