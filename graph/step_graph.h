#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "base/all_to_all_algorithm.h"
#include "base/ids.h"
#include "graph/cost_key.h"

// What must be computed in one training step, on every rank alike: operations and what they need,
// without saying into how many pieces they are cut or in which order they are issued. Built by
// models/build_step_graph, read by the scheduler, executed by runtime/executor after a Plan has cut
// and ordered it.

namespace weft {

// How a Plan may cut an operation into tasks.
enum class Cut : uint8_t {
  kWhole,   // one task
  kChunks,  // r pieces by rows: r is the pipeline degree of (layer, direction)
  kEither,  // one task or r chunks, as the plan likes: a block that enters the pipeline, dW by
            // chunk
  kSlices,  // pieces [begin, end) of `elements`: gradient slices of (layer)
};

// A set of all-to-all algorithms, a bit each.
using AlgorithmSet = uint8_t;
inline constexpr AlgorithmSet kAnyAlgorithm = (1 << kAllToAllAlgorithms.size()) - 1;
inline AlgorithmSet Only(AllToAllAlgorithm algorithm) {
  return static_cast<AlgorithmSet>(1 << static_cast<int>(algorithm));
}

struct Op {
  OpId id;
  CostKey key;
  StreamKind stream = StreamKind::kCompute;
  int32_t layer = -1;  // -1: belongs to no layer (head, norm, optimizer)
  int32_t micro_batch = 0;
  Cut cut = Cut::kWhole;
  double size = 0;       // regressor of the whole operation under the expected load (see CostKey)
  int64_t elements = 0;  // kSlices: fp32 elements that can be sliced, on the rank with the most
  bool heads = false;    // kSlices: of the attention heads that an MP group shares out; else dense
  std::vector<OpId> needs;  // operations that must have ended before; ascending
  // The all-to-all algorithms of its layer under which a plan has this operation.
  AlgorithmSet algorithms = kAnyAlgorithm;
  int32_t step = 0;  // of its algorithm, when it is a step of one
  // Only plans that place experts of its layer away from home have it; `size` is then what one
  // expert's weights are, and a task's as many times that as the busiest member moves.
  bool away = false;
  // Only plans that gather shards of the experts of its layer have it; `size` is then what one
  // shard is, and a task's as many times that as a rank gathers from others.
  bool shards = false;

  Direction direction() const { return key.direction; }
  bool RunsUnder(AllToAllAlgorithm algorithm) const { return (algorithms & Only(algorithm)) != 0; }
};

struct StepGraph {
  int32_t num_layers = 0;
  int32_t micro_batches = 1;
  int32_t sequences = 1;  // of a micro-batch on a rank
  // Into how many pieces a block can be cut to enter the pipeline: whole sequences, or, where
  // attention is causal, ranges of tokens, of which the backward runs the last one first.
  int32_t block_pieces = 1;
  int32_t experts = 0;  // of a layer that has them
  int32_t ep = 1;       // members of the group over which they are spread
  int32_t esp = 1;      // ... and of the group that shares each of them
  std::vector<Op> ops;  // ops[i].id.value == i; topologically sorted

  const Op& op(OpId id) const { return ops[static_cast<size_t>(id.value)]; }
};

// Layers whose all-to-alls can be done in several ways, ascending.
std::vector<int32_t> LayersWithChoice(const StepGraph& graph);

// "dispatch.fwd.l3" (".m1" when there are several micro-batches; ".pipe0" for step 0 of an
// all-to-all other than direct; ".heads" for gradients of heads): unique in the graph.
std::string OpName(const StepGraph& graph, OpId id);

// Digest of everything in the graph but sizes, which follow the load: a plan made for another
// model, layout or batch is refused.
uint64_t FingerprintOf(const StepGraph& graph);

// ids in place, needs ascending and earlier than the op, layers and micro-batches in range,
// sliceable operations with elements to slice, operations in chunks with a layer and a direction,
// sizes finite and not negative, names unique. kInvalidArgument otherwise, naming the operation.
absl::Status ValidateStepGraph(const StepGraph& graph);

}  // namespace weft
