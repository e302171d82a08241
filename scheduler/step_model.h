#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "graph/plan.h"
#include "scheduler/cost_model.h"

// A StepGraph as the planner sees it: its pipelines, whose degrees are to be chosen, its gradient
// chains, which can be sliced and moved, and what every piece costs. Built once per planning; the
// passes only read it.

namespace weft {

// A decision: one pipeline degree, shared by the micro-batches of (layer, direction).
struct DegreeSlot {
  int32_t layer = 0;
  Direction direction = Direction::kForward;
  std::vector<int32_t> pipelines;  // indices into StepModel::pipelines(), by micro-batch; none in a
                                   // layer of which only the block can be cut
  int32_t cost_class = 0;          // slots with operations of equal cost share it
  bool has_block = false;          // attention, gate and the like can be cut, too
  bool has_wgrad = false;          // a pipeline of it has weight gradients that can wait
};

// The chunked operations of one (layer, direction, micro-batch), in the order of the graph.
struct Pipeline {
  int32_t slot = 0;
  int32_t micro_batch = 0;
  std::vector<OpId> stages;  // under any all-to-all algorithm
  std::array<std::vector<OpId>, kAllToAllAlgorithms.size()> stages_by_algorithm;
  const std::vector<OpId>& stages_under(AllToAllAlgorithm algorithm) const {
    return stages_by_algorithm[static_cast<size_t>(algorithm)];
  }
  // Everything the stages need from outside comes before the first of them, so that they can be
  // issued in one go.
  bool closed = true;
  OpId wgrad;  // kExpertWgrad that follows and can be issued later; invalid when there is none
};

// Sliceable operations over the same elements that need one another, e.g. reduce-scatter,
// all-reduce, all-gather of a layer's gradients. They share their slice boundaries.
struct GradientChain {
  std::vector<OpId> ops;
  int64_t elements = 0;
  std::vector<OpId> needs;  // operations outside of the chain that the plan has
  int32_t inter_op = -1;    // index into ops of the first one on the inter-node stream, -1: none
  bool gathers = false;     // no gradients but parameters that the forward needs (ZeRO-1)
};

class StepModel {
 public:
  // `degrees`: the candidates, ascending and distinct; chunks are priced for them and for 1.
  // `placements`: of the plan that is made (Plan::placements).
  // REQUIRES: graph and costs outlive the model. kInvalidArgument when the graph is not valid, or
  // when sliceable operations over different elements need one another.
  static absl::StatusOr<std::unique_ptr<const StepModel>> Make(const StepGraph& graph,
                                                               const CostModel& costs,
                                                               const std::vector<int32_t>& degrees,
                                                               const Placements& placements = {});

  const StepGraph& graph() const { return graph_; }
  // Whether a plan with these placements has an operation, whatever else it chooses.
  bool Has(const Op& op) const {
    if (!op.away && !op.shards) return true;
    const Placed& placed = placed_[static_cast<size_t>(op.layer)];
    return op.away ? placed.moved >= 0 : placed.gathered > 1;
  }
  const std::vector<int32_t>& degrees() const { return degrees_; }
  const std::vector<DegreeSlot>& slots() const { return slots_; }  // by (layer, direction)
  int32_t num_cost_classes() const { return num_cost_classes_; }
  const std::vector<Pipeline>& pipelines() const { return pipelines_; }
  const std::vector<GradientChain>& chains() const { return chains_; }
  // The chains that wait for an operation, once for each of GradientChain::needs that it is.
  std::span<const int32_t> ChainsThatNeed(OpId op) const {
    const size_t i = static_cast<size_t>(op.value);
    return std::span(chains_that_need_)
        .subspan(chains_begin_[i], chains_begin_[i + 1] - chains_begin_[i]);
  }
  // Layers whose all-to-alls can be done in several ways, ascending.
  const std::vector<int32_t>& choosers() const { return choosers_; }

  // Index of the pipeline an operation is a stage of, or of the chain it belongs to; -1: none.
  int32_t PipelineOf(OpId op) const { return pipeline_of_[static_cast<size_t>(op.value)]; }
  int32_t ChainOf(OpId op) const { return chain_of_[static_cast<size_t>(op.value)]; }
  // Index of the slot whose degree an operation in chunks has, cut or not; -1: none.
  int32_t SlotOf(OpId op) const { return slot_of_[static_cast<size_t>(op.value)]; }
  // Index of the pipeline whose wgrad this is, -1: none.
  int32_t WgradOf(OpId op) const { return wgrad_of_[static_cast<size_t>(op.value)]; }

  double WholeSeconds(OpId op) const { return seconds_[static_cast<size_t>(op.value)]; }
  // REQUIRES: degree is 1 or a candidate.
  double ChunkSeconds(OpId op, int32_t degree) const;
  double SliceSeconds(OpId op, int64_t elements) const;
  // The seconds above are of a task alone; beside other streams this comes on top.
  const Contention& contention() const { return contention_; }

 private:
  StepModel(const StepGraph& graph, const CostModel& costs)
      : graph_(graph), costs_(costs), contention_(costs.contention()) {}
  absl::Status TakePlacements(const Placements& placements);
  void FindPipelines();
  void FindWgrads();
  absl::Status FindChains();
  void FindChainsThatNeed();
  void FindCostClasses();
  void PriceOperations();

  const StepGraph& graph_;
  const CostModel& costs_;
  const Contention contention_;
  std::vector<int32_t> degrees_;
  std::vector<int32_t> priced_degrees_;
  std::vector<DegreeSlot> slots_;
  int32_t num_cost_classes_ = 0;
  std::vector<Pipeline> pipelines_;
  std::vector<GradientChain> chains_;
  std::vector<size_t> chains_begin_;  // by operation and one more: into chains_that_need_
  std::vector<int32_t> chains_that_need_;
  std::vector<int32_t> choosers_;
  struct Placed {
    int32_t moved = -1;    // experts of the busiest member; -1: none can move
    int32_t gathered = 1;  // shards that a rank brings together
  };
  std::vector<Placed> placed_;  // by layer
  std::vector<int32_t> pipeline_of_;
  std::vector<int32_t> slot_of_;
  std::vector<int32_t> chain_of_;
  std::vector<int32_t> wgrad_of_;
  std::vector<double> seconds_;        // by operation
  std::vector<double> chunk_seconds_;  // by operation and priced degree
};

}  // namespace weft
