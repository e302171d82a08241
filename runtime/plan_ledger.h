#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "graph/plan.h"
#include "graph/step_graph.h"

namespace weft {

// The plans one rank has prepared but not yet installed: the first phase of the two-phase install.
// Each step's last reduction carries prepared_epoch(); every rank then installs the minimum over
// ranks, which all of them hold, at the same step boundary or not at all. Rank 0 proposes one epoch
// at a time, the next only after the last was installed.
class PlanLedger {
 public:
  explicit PlanLedger(std::shared_ptr<const StepGraph> graph) : graph_(std::move(graph)) {}

  // Parses and validates a proposed plan. kInvalidArgument (nothing is prepared): bad bytes,
  // another graph, an epoch that does not match the announced one or is not newer than what was
  // installed.
  absl::Status Prepare(int64_t epoch, const std::string& plan_json);

  // The highest epoch prepared or installed.
  int64_t prepared_epoch() const;

  // The plan to install when all ranks have prepared `agreed_epoch`; null when that is what already
  // runs. Older prepared plans are forgotten. REQUIRES: agreed_epoch <= prepared_epoch().
  std::shared_ptr<const Plan> TakeAgreed(int64_t agreed_epoch);

 private:
  std::shared_ptr<const StepGraph> graph_;
  std::map<int64_t, std::shared_ptr<const Plan>> prepared_;
  int64_t installed_ = 0;
};

}  // namespace weft
