#pragma once

#include <optional>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "models/layer_cut.h"
#include "models/model_context.h"
#include "models/moe/forced_routing.h"
#include "models/moe/routing.h"
#include "models/parameters.h"
#include "models/transformer/linear.h"
#include "models/transformer/norm.h"
#include "tensor/device/tensor_arena.h"

namespace weft {

// Norm, softmax top-k gate, balance loss, and the order of rows: which (token, choice) is which row
// of which slot of an expert (graph/expert_placement.h); an expert's rows are dealt out to the
// slots that this rank sends to in turn. Rows of a slot stand in (token, choice) order. A choice
// beyond the capacity has no row (place -1): its weight meets nothing and gets no gradient. Where
// routing is forced the experts are given, and everything else is the same.
//
// Balance loss of a layer (Switch Transformer, eq. 4, per sequence): coefficient * E * mean over
// sequences of sum_e f_e P_e, f_e the fraction of the sequence's choices that fell on e, P_e its
// mean probability. Per sequence: equal in every layout and for every micro-batch size.
class Router {
 public:
  Router(const ModelContext& context, Bucket& bucket, int32_t layer);

  // Between steps. `placement`, of the homes, outlives the steps until the next one.
  void Place(const ExpertPlacement& placement, const ExpertHomes& homes);
  // Before a step. `cut` outlives it. REQUIRES: Place was called.
  void Prepare(const LayerCut& cut);

  // Piece `piece` of the tokens, in order. x [tokens, hidden] -> decisions; the chunks that are now
  // known join order(kForward). Adds the balance loss of the sequences that end here, already
  // weighted by this rank's share of the global batch, to balance_loss [1] fp64. `batch`: which
  // tokens these are, read where routing is forced.
  void Decide(int32_t piece, const RoutedBatch& batch, ConstTensorView x, TensorView balance_loss);

  // Where a chunk's rows go: [rows, hidden], in send order.
  using RowsTo = absl::FunctionRef<TensorView(int32_t chunk, int64_t rows)>;

  // The rows of the chunks that a piece made known. REQUIRES: Decide of the piece was the last
  // call.
  void Permute(int32_t piece, RowsTo to);

  // y = x + sum of weights times returned rows, and what the layer's shared experts left in y,
  // where it has any. returned: the experts' outputs in send order.
  void Combine(int32_t piece, ConstTensorView x, ConstTensorView returned, TensorView y);

  // Gradient of Combine: weights' gradients are kept; to(chunk) gets weight * dy per row in send
  // order of the backward, in which the chunks are by then.
  void CombineBackward(int32_t piece, ConstTensorView dy, ConstTensorView returned, RowsTo to);

  // dx = gradient through the norm from the expert inputs' gradients (send order of the backward),
  // the gate and d_normed(), where the layer has shared experts, plus dy of the residual.
  void Backward(int32_t piece, ConstTensorView d_returned, ConstTensorView dy, ConstTensorView x,
                TensorView dx);

  // Gradients of gate and norm, one sum over all tokens. REQUIRES: every piece's Backward has
  // ended.
  void BackwardWeights(ConstTensorView x);

  // [tokens, hidden]: what the experts see; after Forward.
  ConstTensorView normed() const { return norm_.output(); }
  // Gradient of the same: where shared experts put theirs before Backward.
  TensorView d_normed() const { return d_rows_; }

  const SendOrder& order(Direction direction) const {
    return direction == Direction::kForward ? forward_order_ : backward_order_;
  }
  // [segments][slots]: kept rows; of the segments of the pieces that ran.
  std::span<const int32_t> counts() const { return counts_; }
  // [experts]: kept rows of the step so far, over all micro-batches.
  std::span<const int32_t> step_counts() const { return step_counts_; }
  int64_t dropped() const { return dropped_; }  // choices without a row in the last forward

 private:
  // The given experts of these tokens, to experts_.
  void ForceExperts(RowRange tokens, const RoutedBatch& batch);
  // Rows of the choices of a piece's tokens; their counts become known to the host.
  void AssignRows(int32_t piece);
  // Numbers of the host, which are cleared.
  void Upload(std::vector<int32_t>& numbers, Buffer& to);
  void BalanceLoss(RowRange tokens, TensorView balance_loss);
  // Appends the chunks that piece `piece` makes known and fills the places of its tokens: where in
  // send order the row of (token, choice) stands. row_token_ and row_choice_ become those of the
  // chunks' rows.
  void PlaceRows(Direction direction, int32_t piece, TensorView places);

  const ModelContext& context_;
  const bool shared_;  // experts that every token visits
  const LayerCut* cut_ = nullptr;
  Norm norm_;
  Linear gate_;
  std::optional<ForcedRouting> forced_;
  TensorArena storage_;
  TensorView logits_, probs_, d_probs_, d_logits_, weights_, d_weights_, row_weight_, d_rows_;
  // By choice: experts, their slots, which of the slot's rows (-1: dropped), places. By row of the
  // direction that was placed last: token and choice (of all tokens' top_k).
  TensorView experts_, slot_of_, row_of_, forward_places_, backward_places_, row_token_,
      row_choice_;
  const ExpertPlacement* placement_ = nullptr;
  int64_t slots_to_ = 0;                // of the experts, that this rank sends to
  Buffer slots_begin_, slots_;          // see AssignRowsArgs
  Buffer segment_ends_, counted_;       // counted_: [segments][slots] rows, then kept and chosen
  Buffer chunk_ends_, chunk_shifts_;    // see PlaceRowsArgs
  std::vector<int32_t> chosen_;         // of forced routing
  std::vector<int32_t> fetched_;        // counted_, on the host
  std::vector<int32_t> counts_;         // [segments][slots]: of the pieces that ran
  std::vector<int32_t> kept_;           // [experts]: of the pieces that ran
  std::vector<int32_t> step_counts_;    // [experts]
  std::vector<RowRange> taken_;         // [slots]: by the chunk that is appended
  std::vector<int32_t> ends_, shifts_;  // of the tables that are made
  int64_t dropped_ = 0;
  SendOrder forward_order_, backward_order_;
};

}  // namespace weft
