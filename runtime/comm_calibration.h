#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "comm/hierarchy/group_shape.h"
#include "graph/plan.h"
#include "graph/step_graph.h"
#include "runtime/groups.h"
#include "runtime/step_program.h"
#include "tensor/device/buffer.h"

namespace weft {

// A step graph of bare collectives: every class of communication that `training` uses
// (CalibrationKey), over a range of sizes around those that its chunks and slices will have, one
// after another.
StepGraph BuildCommCalibration(const StepGraph& training);

// Runs it: the same calls on the same communicators as the training step, on scratch memory.
class CommCalibration final : public StepProgram {
 public:
  // ep: how this rank's EP group lies over the nodes.
  // memory: where the step's tensors live.
  CommCalibration(Groups& groups, const GroupShape& ep, Memory& memory)
      : groups_(groups), ep_(ep), scratch_{Scratch(memory), Scratch(memory), Scratch(memory)} {}

  absl::Status Prepare(const StepGraph& graph, const Plan& plan) override;
  absl::Status Run(const Op& op, const PlanTask& task, double* size) override;

 private:
  // Room for one collective, per stream: streams run beside each other.
  struct Scratch {
    explicit Scratch(Memory& memory) : send(memory), receive(memory) {}
    Buffer send, receive;
    std::vector<int64_t> rows;
  };

  Communicator* CommunicatorOf(GroupKind group) const;
  // Members that one exchanges with.
  int32_t PeersOf(const CostKey& key) const;
  int64_t ElementsPerMember(const Op& op) const;

  Groups& groups_;
  const GroupShape ep_;
  std::array<Scratch, kNumStreams> scratch_;
};

}  // namespace weft
