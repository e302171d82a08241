#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "launch/control/beat.h"
#include "launch/control/control_options.h"
#include "launch/control/failure.h"
#include "launch/control/plan_shelf.h"
#include "launch/control/roster.h"
#include "runtime/coordination.h"

namespace weft {

class JobBoard;

// One rank's line to its job, on every rank: the step loop's Coordination, and the watch that ends
// this rank when the job is lost. Its life: Connect to the node service; a thread heartbeats every
// options.heartbeat, brings new plans, and calls on_abort once when the job has a first cause;
// Leave when this rank has finished. Thread-safe.
class ControlClient final : public Coordination {
 public:
  // Called on the client's own thread with the job's first cause, which names who; must not destroy
  // the client.
  using AbortCallback = std::function<void(const absl::Status& cause)>;

  // Blocks, at most a heartbeat deadline, until the node service has accepted this rank.
  // REQUIRES: options.node_address is set; `board` is the coordinator's on rank 0, outlives the
  // client, and is null on every other rank.
  static absl::StatusOr<std::unique_ptr<ControlClient>> Connect(const ControlOptions& options,
                                                                JobBoard* board,
                                                                AbortCallback on_abort);
  // Without Leave, the rank falls silent and the others will call it lost.
  ~ControlClient() override;

  absl::Status Propose(const ProposedPlan& plan) override;
  std::optional<ProposedPlan> TakeProposal() override;
  ControlRequests TakeRequests() override;
  // On ranks other than 0 takes the step and the plan's epoch alone, for this rank's heartbeats.
  void Publish(const JobStatus& status) override;
  void PublishPlan(const std::string& plan_json, const std::string& explanation) override;

  // This rank has failed. Unless the job has a first cause already, `status` with this rank's name
  // becomes it and reaches every rank's on_abort, this one's included. Blocks until the node
  // service knows, or, when it does not answer, until on_abort blames it: at most about a heartbeat
  // deadline. REQUIRES: !status.ok().
  void ReportFailure(const absl::Status& status);

  // The job's first cause, once known.
  std::optional<Failure> failure() const;

  // This rank has finished: its silence means nothing from now on, and on_abort is not called any
  // more. Blocks until the node service knows, at most a heartbeat deadline. On a job that has
  // failed only the thread ends. Idempotent. REQUIRES: not called from on_abort.
  absl::Status Leave();

 private:
  struct Wire;

  ControlClient(const ControlOptions& options, JobBoard* board, AbortCallback on_abort);

  void SendBeat();
  void FetchPlan(int64_t epoch);
  void End(const Failure& failure);

  const ControlOptions options_;
  JobBoard* const board_;
  const AbortCallback on_abort_;
  const std::unique_ptr<Wire> wire_;
  Roster node_service_;  // of one; touched by the heartbeat thread alone

  mutable absl::Mutex mutex_;
  int64_t step_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t plan_epoch_ ABSL_GUARDED_BY(mutex_) = -1;
  PlanShelf shelf_ ABSL_GUARDED_BY(mutex_);
  absl::Status reported_ ABSL_GUARDED_BY(mutex_);
  std::optional<Failure> failure_ ABSL_GUARDED_BY(mutex_);
  bool left_ ABSL_GUARDED_BY(mutex_) = false;

  OnceEvent failed_;            // failure_ is set
  std::unique_ptr<Beat> beat_;  // last: its thread uses all of the above
};

}  // namespace weft
