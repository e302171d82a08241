#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "comm/backend.h"
#include "comm/sim/sim_communicator.h"

namespace weft {

// A link as a group uses it. Groups whose links have the same class share this rank's part of it:
// their transfers queue. Classes are the caller's numbers, e.g. 0 inside a node and 1 between
// nodes.
struct SimLink {
  int link_class = 0;
  EmulatedLinkModel model;
};

// The link that a group of global ranks communicates over: for a group that spans nodes, the one
// between nodes. A pure function: every rank gives the same answer for the same group.
using SimLinkRule = std::function<SimLink(const std::vector<RankId>& ranks)>;

// A cluster's network over the ranks of one host: every communicator of the inner backend behind a
// SimCommunicator.
class SimBackend final : public Backend {
 public:
  SimBackend(std::unique_ptr<Backend> inner, SimLinkRule rule);

  int rank() const override { return inner_->rank(); }
  int world_size() const override { return inner_->world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override;
  void Abort(const absl::Status& cause) override;

 private:
  const std::unique_ptr<Backend> inner_;
  const SimLinkRule rule_;
  std::map<int, std::shared_ptr<LinkClock>> links_;  // by class
  absl::Mutex mutex_;
  std::vector<std::weak_ptr<Alarm>> alarms_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
