#pragma once

#include <span>
#include <vector>

#include "absl/status/status.h"
#include "models/model_context.h"
#include "models/moe/routing.h"
#include "tensor/device/buffer.h"

namespace weft {

// Buffers of token rows on their way, shared by all MoE layers of a rank and by both directions: an
// operation that fills one runs, by the step graph, after everything that read its last contents.
//
//   source:      send (send order) ..................................... returned (send order)
//   destination: received -> [ESP gather] gathered -> experts -> partial -> [ESP reduce-scatter]
//   reduced
// A group of one skips its stage: the two neighbouring names are then the same memory.
class ExchangeBuffers {
 public:
  explicit ExchangeBuffers(const ModelContext& context);

  // Makes room for `received` rows before and `arrived` rows after the ESP all-gather.
  void Reserve(int64_t received, int64_t arrived);

  TensorView send() const;
  TensorView received() const;
  TensorView gathered() const;
  TensorView partial(TensorView returned) const;
  TensorView reduced(TensorView returned) const;
  int64_t source_rows() const { return source_rows_; }

 private:
  TensorView All(const Buffer& buffer) const;

  const ModelContext& context_;
  int64_t width_;
  int64_t source_rows_;  // tokens * top_k: the most a rank can send
  Buffer send_, received_, gathered_, partial_, reduced_;
};

// The communication of one MoE layer, in both directions: counts, then chunk by chunk dispatch, ESP
// all-gather, ESP reduce-scatter, combine. `size` of each is the bytes this rank sends
// (models/op_sizes.h).
class TokenExchange {
 public:
  TokenExchange(const ModelContext& context, ExchangeBuffers& buffers);

  // Row counts of this rank's tokens per expert -> counts of every source for this rank's experts.
  absl::Status CountsAllToAll(std::span<const int32_t> counts, double* size);
  absl::Status CountsAllGather(std::span<const int32_t> own_counts, double* size);
  // Called when the last counts operation has ended (or, without any, with this rank's own counts):
  // every size of every chunk is known from here on.
  void CountsKnown(std::span<const int32_t> own_counts, int32_t forward_degree,
                   int32_t backward_degree);

  absl::Status Dispatch(const SendOrder& order, Direction direction, int32_t chunk, double* size);
  absl::Status EspAllGather(Direction direction, int32_t chunk, double* size);
  absl::Status EspReduceScatter(Direction direction, int32_t chunk, TensorView returned,
                                double* size);
  absl::Status Combine(const SendOrder& order, Direction direction, int32_t chunk,
                       TensorView returned, double* size);

  const ArrivalOrder& arrival(Direction direction) const {
    return direction == Direction::kForward ? forward_ : backward_;
  }
  // What the experts of a chunk read and write, in arrival order of the whole layer.
  ConstTensorView expert_input() const { return buffers_.gathered(); }
  TensorView expert_output(TensorView returned) const { return buffers_.partial(returned); }

 private:
  const ModelContext& context_;
  ExchangeBuffers& buffers_;
  int32_t local_experts_;
  std::vector<int64_t> experts_of_peer_, my_experts_;  // rows of the counts exchange
  std::vector<int32_t> counts_from_ep_;                // [ep][local experts]
  std::vector<int32_t> counts_from_all_;               // [esp][ep][local experts]
  ArrivalOrder forward_, backward_;
};

}  // namespace weft
