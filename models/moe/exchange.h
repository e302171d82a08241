#pragma once

#include <array>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "base/all_to_all_algorithm.h"
#include "comm/hierarchy/exchange_plan.h"
#include "models/layer_cut.h"
#include "models/model_context.h"
#include "models/moe/exchange_buffers.h"
#include "models/moe/routing.h"
#include "models/parameters.h"

namespace weft {

// The communication of one MoE layer, in both directions: counts, then chunk by chunk dispatch, ESP
// all-gather, ESP reduce-scatter, combine. Dispatch and combine are one all-to-all, or, where the
// EP group spans nodes, the steps of another algorithm (comm/hierarchy/). `size` of each is the
// bytes that this rank sends, of an all-to-all those that it sends or receives, whichever are more
// (models/op_sizes.h).
class TokenExchange {
 public:
  TokenExchange(const ModelContext& context, ExchangeBuffers& buffers);

  // Between steps. `placement` outlives the steps until the next one. `gathered`: how many shards
  // of an expert a rank has brought together; rows are gathered over the others of its ESP group.
  void Place(const ExpertPlacement& placement, int32_t gathered);
  // Before a step. REQUIRES: Place was called. `cut` outlives it. Where the EP group has one kind
  // of link, `algorithm` says nothing.
  void Prepare(const LayerCut& cut, AllToAllAlgorithm algorithm);
  bool in_steps() const { return algorithm_ != AllToAllAlgorithm::kDirect; }
  // Whether members pass rows of others on, and so must know their counts.
  bool passes_on() const {
    return algorithm_ == AllToAllAlgorithm::k2DH || algorithm_ == AllToAllAlgorithm::k1DH;
  }

  // The counts of a piece of the forward: [segments][slots], this rank's rows -> those of every
  // source for this rank's slots.
  absl::Status CountsAllToAll(int32_t piece, std::span<const int32_t> counts, double* size);
  // REQUIRES: passes_on(), and the all-to-all of the piece has ended.
  absl::Status CountsNodeGather(int32_t piece, std::span<const int32_t> counts, double* size);
  absl::Status CountsAllGather(int32_t piece, std::span<const int32_t> counts, double* size);
  // Called when the last counts operation of a piece has ended (or, without any, with this rank's
  // own counts): the sizes of the forward's chunks that the piece feeds are known from here on;
  // with the last piece, those of the whole backward.
  void CountsKnown(int32_t piece, std::span<const int32_t> counts);
  // Makes room for a chunk, and its exchanges, whose send order and counts are known. Called by who
  // knows them last: forward, the last counts operation; backward, who fills the send buffer.
  void PrepareChunk(const SendOrder& order, Direction direction, int32_t chunk);

  // `step`: of the algorithm, 0 when it is direct.
  absl::Status Dispatch(const SendOrder& order, Direction direction, int32_t chunk, int32_t step,
                        double* size);
  absl::Status EspAllGather(Direction direction, int32_t chunk, double* size);
  absl::Status EspReduceScatter(const SendOrder& order, Direction direction, int32_t chunk,
                                TensorView returned, double* size);
  absl::Status Combine(const SendOrder& order, Direction direction, int32_t chunk, int32_t step,
                       TensorView returned, double* size);

  const ArrivalOrder& arrival(Direction direction) const {
    return direction == Direction::kForward ? forward_ : backward_;
  }
  const SavedOrder& saved() const { return saved_; }
  // What the experts of a chunk read and write, in arrival order.
  ConstTensorView ExpertInput(Direction direction, int32_t chunk) const;
  TensorView ExpertOutput(const SendOrder& order, Direction direction, int32_t chunk,
                          TensorView returned) const;

 private:
  // Counts of one piece on their way: [ep][segments of the piece][local slots], then with [esp]
  // before it.
  struct Counts {
    std::vector<int32_t> sent;
    std::vector<int64_t> send_rows, recv_rows;
    std::vector<int32_t> from_ep, from_all;
    // What a member of this node tells the others: sent [segments][slots], then what it has from
    // whom, like from_ep.
    std::vector<int32_t> own, from_node;
    std::vector<int64_t> node_rows;  // how many numbers of each member
  };
  // The steps of a chunk's exchanges.
  struct ChunkSteps {
    ExchangePlan dispatch, combine;
  };
  void AppendChunk(Direction direction, int32_t chunk);
  // How many rows of a chunk EP member `source` has for member `destination`. REQUIRES: one of them
  // is this rank or, when passes_on(), on its node.
  int64_t RowsBetween(Direction direction, int32_t chunk, int source, int destination) const;
  ChunkSteps& StepsOf(Direction direction, int32_t chunk) {
    return steps_[direction == Direction::kForward ? 0 : 1][static_cast<size_t>(chunk)];
  }
  absl::Status RunSteps(const ExchangePlan& plan, int32_t step, const ExchangeViews& views,
                        double* size);
  ExchangeViews ViewsOf(int32_t chunk, ConstTensorView input, TensorView output) const;
  size_t sources() const;  // blocks of this rank's slots: parts * ep * local slots
  // Who gathers rows from one another: their number, and this rank's place among them.
  int32_t parts() const { return context_.layout.esp / gathered_; }
  bool joined() const { return parts() > 1; }
  Communicator& rows_group() const;
  Layout rows_layout() const;

  const ModelContext& context_;
  ExchangeBuffers& buffers_;
  const LayerCut* cut_ = nullptr;
  const ExpertPlacement* placement_ = nullptr;
  int32_t local_slots_ = 0;
  int32_t gathered_ = 1;
  int32_t most_slots_ = 0;       // of a member
  std::vector<Counts> counts_;   // by piece of the forward
  std::vector<int32_t> all_;     // [segments][parts][ep][local slots]
  std::vector<RowRange> taken_;  // [parts][ep][local slots]: by the chunk that is appended
  std::vector<int64_t> total_;   // the same, over all segments
  ArrivalOrder forward_, backward_;
  SavedOrder saved_;
  const GroupShape shape_;  // of the EP group
  AllToAllAlgorithm algorithm_ = AllToAllAlgorithm::kDirect;
  // By member of this node, of all segments: sent [segments][slots]; received [segments][ep][the
  // most slots of a member].
  std::vector<std::vector<int32_t>> node_sent_, node_received_;
  std::array<std::vector<ChunkSteps>, 2> steps_;  // by direction and chunk
};

}  // namespace weft
