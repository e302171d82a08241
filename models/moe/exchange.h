#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "models/layer_cut.h"
#include "models/model_context.h"
#include "models/moe/exchange_buffers.h"
#include "models/moe/routing.h"

namespace weft {

// The communication of one MoE layer, in both directions: counts, then chunk by chunk dispatch, ESP
// all-gather, ESP reduce-scatter, combine. `size` of each is the bytes this rank sends
// (models/op_sizes.h).
class TokenExchange {
 public:
  TokenExchange(const ModelContext& context, ExchangeBuffers& buffers);

  // Before a step. `cut` outlives it.
  void Prepare(const LayerCut& cut);

  // The counts of a piece of the forward: [segments][experts], this rank's rows -> those of every
  // source for this rank's experts.
  absl::Status CountsAllToAll(int32_t piece, std::span<const int32_t> counts, double* size);
  absl::Status CountsAllGather(int32_t piece, std::span<const int32_t> counts, double* size);
  // Called when the last counts operation of a piece has ended (or, without any, with this rank's
  // own counts): the sizes of the forward's chunks that the piece feeds are known from here on;
  // with the last piece, those of the whole backward.
  void CountsKnown(int32_t piece, std::span<const int32_t> counts);
  // Makes room for the rows of a chunk of the backward. Called by who fills its send buffer.
  void ReserveBackward(int32_t chunk);

  absl::Status Dispatch(const SendOrder& order, Direction direction, int32_t chunk, double* size);
  absl::Status EspAllGather(Direction direction, int32_t chunk, double* size);
  absl::Status EspReduceScatter(const SendOrder& order, Direction direction, int32_t chunk,
                                TensorView returned, double* size);
  absl::Status Combine(const SendOrder& order, Direction direction, int32_t chunk,
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
  // Counts of one piece on their way: [ep][segments of the piece][local experts], then with [esp]
  // before it.
  struct Counts {
    std::vector<int32_t> sent;
    std::vector<int64_t> send_rows, recv_rows;
    std::vector<int32_t> from_ep, from_all;
  };
  void AppendChunk(Direction direction, int32_t chunk);
  size_t sources() const;  // blocks of this rank's experts: esp * ep * local experts

  const ModelContext& context_;
  ExchangeBuffers& buffers_;
  const LayerCut* cut_ = nullptr;
  int32_t local_experts_;
  std::vector<Counts> counts_;   // by piece of the forward
  std::vector<int32_t> all_;     // [segments][esp][ep][local experts]
  std::vector<RowRange> taken_;  // [esp][ep][local experts]: by the chunk that is appended
  std::vector<int64_t> total_;   // the same, over all segments
  ArrivalOrder forward_, backward_;
  SavedOrder saved_;
};

}  // namespace weft
