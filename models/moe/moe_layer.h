#pragma once

#include <optional>

#include "absl/status/status.h"
#include "graph/step_graph.h"
#include "models/moe/away_experts.h"
#include "models/moe/exchange.h"
#include "models/moe/expert_shard.h"
#include "models/moe/gathered_shards.h"
#include "models/moe/router.h"
#include "models/moe/shared_experts.h"
#include "tensor/device/tensor_arena.h"

namespace weft {

// One MoE layer: router, exchange and expert shards, driven by the operations of the step graph.
// The layer computes y = x + sum over chosen experts of weight * expert(norm(x)), + shared
// experts(norm(x)) where it has any.
class MoeLayer {
 public:
  MoeLayer(const ModelContext& context, Bucket& dense, Bucket& experts, ExchangeBuffers& buffers,
           ExpertScratch& scratch, int32_t layer);

  // Before a step: how its plan cuts this layer and where its experts work; where they live says
  // the bucket. `cut` outlives the step. `gathered`: shards of an expert that a rank brings
  // together (graph/plan.h).
  void Prepare(const LayerCut& cut, AllToAllAlgorithm algorithm, const ExpertPlacement& placement,
               int32_t gathered);

  // Runs one task of an operation of this layer: `chunk` of a pipeline, or a piece of the
  // operations beside it. x, y: the layer's input and output; dy, dx: their gradients.
  struct Activations {
    TensorView x, y, dy, dx;
    RoutedBatch batch;
    TensorView balance_loss;  // [1] fp64
  };
  absl::Status Run(const Op& op, int32_t chunk, const Activations& a, double* size);
  // Gradients of router and norm. x: the layer's input.
  void BackwardDenseWeights(ConstTensorView x) { router_.BackwardWeights(x); }

  const Router& router() const { return router_; }

 private:
  // Outputs of the experts (forward; kept for the weights' gradients), or gradients of their inputs
  // (backward).
  TensorView returned(Direction d) const {
    return d == Direction::kForward ? returned_ : d_returned_;
  }
  ExpertOrders orders() const {
    return {exchange_.arrival(Direction::kForward), exchange_.arrival(Direction::kBackward),
            exchange_.saved()};
  }
  void Place(const ExpertPlacement& placement, int32_t gathered);
  void CountsKnown(int32_t piece);
  // Whether nothing is between this rank's router and the experts.
  bool alone() const { return context_.layout.expert_ranks() == 1; }
  // Where a chunk's rows go straight to the experts, if they can.
  std::optional<TensorView> RowsAtExperts(Direction direction, int32_t chunk);
  // Where the router puts a chunk's rows.
  TensorView RoutedRows(Direction direction, int32_t chunk, int64_t rows);
  void StartForward(int32_t piece, const Activations& a);
  double RunExperts(Direction direction, int32_t chunk);
  double RunSharedExperts(Direction direction, int32_t piece, const Activations& a);
  void StartBackward(int32_t piece, const Activations& a);

  const ModelContext& context_;
  ExchangeBuffers& buffers_;
  Router router_;
  TokenExchange exchange_;
  AwayExperts away_;
  GatheredShards gathered_;
  ExpertShard experts_;
  std::optional<SharedExperts> shared_;
  Bucket& home_;
  const int32_t layer_;
  std::optional<ExpertPlacement> placement_;
  ExpertHomes homes_;  // that it was placed with
  int32_t gathers_ = 1;
  const LayerCut* cut_ = nullptr;
  TensorArena storage_;
  TensorView returned_, d_returned_;
};

}  // namespace weft
