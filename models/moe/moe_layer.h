#pragma once

#include "absl/status/status.h"
#include "graph/step_graph.h"
#include "models/moe/exchange.h"
#include "models/moe/expert_shard.h"
#include "models/moe/router.h"

namespace weft {

// One MoE layer: router, exchange and expert shards, driven by the operations of the step graph.
// The layer computes y = x + sum over chosen experts of weight * expert(norm(x)).
class MoeLayer {
 public:
  MoeLayer(const ModelContext& context, Bucket& dense, Bucket& experts, ExchangeBuffers& buffers,
           int32_t layer);

  // Before a step: the degrees its plan cuts this layer into.
  void SetDegrees(int32_t forward, int32_t backward);

  // Runs one task of an operation of this layer. x, y: the layer's input and output; dy, dx: their
  // gradients.
  struct Activations {
    TensorView x, y, dy, dx;
    double* balance_loss = nullptr;
  };
  absl::Status Run(const Op& op, int32_t chunk, const Activations& a, double* size);

  const Router& router() const { return router_; }

 private:
  const SendOrder& order(Direction d) const {
    return d == Direction::kForward ? router_.forward_order() : router_.backward_order();
  }
  // Outputs of the experts (forward; kept for the weights' gradients), or gradients of their inputs
  // (backward).
  TensorView returned(Direction d) const {
    return d == Direction::kForward ? returned_ : d_returned_;
  }
  void CountsKnown();

  const ModelContext& context_;
  ExchangeBuffers& buffers_;
  Router router_;
  TokenExchange exchange_;
  ExpertShard experts_;
  int32_t forward_degree_ = 1;
  int32_t backward_degree_ = 1;
  Buffer storage_;
  TensorView returned_, d_returned_;
};

}  // namespace weft
