#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"

// The port through which the step loop talks to the world. launch/ implements it over gRPC (rank
// 0's coordinator, a node service on the first rank of each node), tests in-process. No call blocks
// on the network: implementations exchange messages on threads of their own.

namespace weft {

struct ProposedPlan {
  int64_t epoch = 0;
  std::string json;          // graph/plan.h PlanToJson
  uint64_t fingerprint = 0;  // Fingerprint(json)
};

// What people asked of the running job since the last call.
struct ControlRequests {
  bool stop = false;        // end after this step, with a checkpoint
  bool checkpoint = false;  // write one at the next step boundary
};

// What `weft status` shows. Published by rank 0 after every step.
struct JobStatus {
  std::string name;
  std::string phase;  // "starting", "calibrating", "training", "comparing"
  std::string run_directory;
  int32_t world_size = 0;
  int64_t step = 0;
  int64_t total_steps = 0;
  double loss = 0;
  double val_bits_per_byte = 0;  // 0: not yet known
  double tokens_per_second = 0;
  int64_t plan_epoch = 0;
  double predicted_step_seconds = 0;
  double measured_step_seconds = 0;
  int64_t last_checkpoint_step = -1;
};

class Coordination {
 public:
  virtual ~Coordination() = default;

  // Rank 0: offers a plan to all ranks, itself included. A newer epoch replaces one not yet taken.
  virtual absl::Status Propose(const ProposedPlan& plan) = 0;
  // Any rank: the newest proposal not yet taken, or nothing. Polled between steps.
  virtual std::optional<ProposedPlan> TakeProposal() = 0;
  // Rank 0: requests since the last call; false everywhere on other ranks.
  virtual ControlRequests TakeRequests() = 0;
  // Rank 0: replaces what `weft status` and `weft plan` show.
  virtual void Publish(const JobStatus& status) = 0;
  virtual void PublishPlan(const std::string& plan_json, const std::string& explanation) = 0;
};

}  // namespace weft
