#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "runtime/coordination.h"

namespace weft {

// The coordination of a job whose ranks are threads: one object for all. Time is counted in polls:
// every rank asks for proposals, and rank 0 for requests, once before each step, so that the n-th
// poll of a run belongs to its n-th step, from 0. A proposal reaches all ranks at the poll after
// next of rank 0: no rank can be further, so the same run always goes the same way.
class InprocCoordination {
 public:
  explicit InprocCoordination(int32_t world_size);
  ~InprocCoordination();

  // The port of one rank.
  Coordination& of(int32_t rank);

  // What the world does; to be said before the job starts.
  void HoldProposals(int32_t rank, int64_t poll);  // none reaches `rank` before this poll
  void SpoilProposals(int32_t rank);               // those that reach `rank` are torn
  void RequestAt(int64_t poll, const ControlRequests& requests);
  std::function<void(const JobStatus&)> on_publish;  // called on rank 0's thread

  // What was published, in order.
  std::vector<JobStatus> statuses() const;
  std::vector<std::string> plans() const;

 private:
  class Port;

  mutable absl::Mutex mutex_;
  std::vector<std::unique_ptr<Port>> ports_;
  std::optional<ProposedPlan> newest_ ABSL_GUARDED_BY(mutex_);
  int64_t visible_from_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<int64_t, ControlRequests> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<JobStatus> statuses_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> plans_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
