#pragma once

#include <span>
#include <vector>

#include "models/model_context.h"
#include "models/moe/routing.h"
#include "models/parameters.h"
#include "models/transformer/linear.h"
#include "models/transformer/norm.h"

namespace weft {

// Norm, softmax top-k gate, balance loss, and the order of rows: which (token, choice) is which row
// of which expert. Rows of an expert stand in (token, choice) order. A choice beyond the capacity
// has no row (slot -1): its weight meets nothing and gets no gradient.
//
// Balance loss of a layer (Switch Transformer, eq. 4, per sequence): coefficient * E * mean over
// sequences of sum_e f_e P_e, f_e the fraction of the sequence's choices that fell on e, P_e its
// mean probability. Per sequence: equal in every layout and for every micro-batch size.
class Router {
 public:
  Router(const ModelContext& context, Bucket& bucket, int32_t layer);

  // x [tokens, hidden] -> decisions. send [>= tokens * top_k, hidden] gets the rows in send order
  // of `degree`. Adds the balance loss, already weighted by this rank's share of the global batch,
  // to *balance_loss.
  void Forward(ConstTensorView x, int32_t degree, TensorView send, double* balance_loss);

  // y = x + sum of weights times returned rows. returned: the experts' outputs in send order.
  void Combine(ConstTensorView x, ConstTensorView returned, TensorView y);

  // Gradient of Combine: weights' gradients are kept; send gets weight * dy per row in send order
  // of `degree`.
  void CombineBackward(ConstTensorView dy, ConstTensorView returned, int32_t degree,
                       TensorView send);

  // dx = gradient through the norm from the expert inputs' gradients (send order of the backward
  // degree) and the gate, plus dy of the residual. Parameter gradients accumulate.
  void Backward(ConstTensorView d_returned, ConstTensorView dy, ConstTensorView x, TensorView dx);

  const SendOrder& forward_order() const { return forward_order_; }
  const SendOrder& backward_order() const { return backward_order_; }
  std::span<const int32_t> counts() const { return counts_; }  // [experts]: kept rows
  int64_t dropped() const { return dropped_; }  // choices without a row in the last Forward

 private:
  void AssignRows();
  void BalanceLoss(double* balance_loss);
  // slot[t, j], and per row of the order its token and weight.
  void FillSlots(const SendOrder& order, TensorView slots);
  TensorView SentRows(TensorView v) const { return View(v.as<int32_t>(), {sent_}); }

  const ModelContext& context_;
  Norm norm_;
  Linear gate_;
  Buffer floats_, ints_;
  TensorView logits_, probs_, d_probs_, d_logits_, weights_, d_weights_, row_weight_, d_rows_;
  TensorView experts_, row_in_block_, forward_slots_, backward_slots_, row_token_;
  std::vector<int32_t> counts_, sequence_counts_;
  std::vector<double> mean_prob_;
  int64_t sent_ = 0;
  int64_t dropped_ = 0;
  SendOrder forward_order_, backward_order_;
};

}  // namespace weft
