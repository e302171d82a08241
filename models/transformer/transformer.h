#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "graph/plan.h"
#include "models/build_step_graph.h"
#include "models/layer_cut.h"
#include "models/model_context.h"
#include "models/moe/moe_layer.h"
#include "models/parameters.h"
#include "models/transformer/attention_block.h"
#include "models/transformer/dense_ffn_block.h"
#include "models/transformer/head.h"
#include "tensor/device/tensor_arena.h"

namespace weft {

// What one rank's steps add up before the ranks' sums are added.
struct LossSums {
  double cross_entropy = 0;  // sum of -log p over this rank's tokens
  double balance = 0;        // this rank's share of the balance losses of all layers
};

// How a plan runs one layer.
struct LayerWays {
  DirectionCut forward, backward;
  AllToAllAlgorithm all_to_all = AllToAllAlgorithm::kDirect;
  std::shared_ptr<const ExpertPlacement> placement;  // of a layer with experts
  int32_t gathered = 1;  // shards of an expert that a rank brings together
};

// One rank's model: owns the modules and the activations, runs the operations of a step graph that
// belong to the model (everything but gradient reduction, norm and optimizer). Life of a step:
// Begin with the step's tokens, Run for every task from the streams, then sums().
class Transformer {
 public:
  // REQUIRES: a validated spec and layout; `parameters` outlives the model.
  Transformer(const ModelContext& context, Parameters& parameters);

  // Before a step. tokens and labels: [micro_batches * tokens], on the host; layers: of the plan
  // that will run; batch: whose tokens these are, over all micro-batches.
  // kForward: the head keeps logits instead of their gradient.
  void Begin(StepKind kind, std::span<const LayerWays> layers, std::span<const int32_t> tokens,
             std::span<const int32_t> labels, const RoutedBatch& batch);

  // From inside a stream's Work. *size: the regressor as it really was.
  absl::Status Run(const Op& op, const PlanTask& task, double* size);

  // From inside a stream's Work, after the step's tasks.
  LossSums ReadSums();
  // How many of this rank's rows of the step every expert got. [layers with experts][experts], in
  // the order of the layers.
  void CopyExpertCounts(std::span<int32_t> counts) const;
  const ModelSpec& spec() const { return context_.spec; }
  int32_t num_layers() const { return static_cast<int32_t>(layers_.size()); }
  ConstTensorView logits() const { return ends_.logits(); }
  const MoeLayer* moe_layer(int32_t layer) const {
    return layers_[static_cast<size_t>(layer)].moe.get();
  }

 private:
  struct Layer {
    std::unique_ptr<AttentionBlock> attention;
    std::unique_ptr<DenseFfnBlock> ffn;  // one of the two
    std::unique_ptr<MoeLayer> moe;
    LayerCut cut;
    TensorView input, middle;  // [tokens, hidden]: of the layer, and after attention
    TensorView d_middle;       // gradient of middle: stays until the weight gradients have run
  };
  absl::Status RunLayer(Layer& layer, size_t index, const Op& op, const PlanTask& task,
                        double* size);
  // Attention, and what gathers and scatters around it.
  absl::Status RunAttention(Layer& layer, const Op& op, const PlanTask& task, double* size);
  // Where a loss is added up: of layer `layer` the balance loss, of layer -1 the cross-entropy.
  TensorView SumOf(int32_t layer) const { return View(sums_.as<double>() + layer + 1, {1}); }
  // [tokens] of a micro-batch.
  ConstTensorView OfMicroBatch(const Buffer& of, int32_t micro_batch) const;
  TensorView Output(size_t layer) const {
    return layer + 1 < layers_.size() ? layers_[layer + 1].input : top_;
  }

  ModelContext context_;
  StepKind kind_ = StepKind::kTraining;
  EmbeddingAndHead ends_;
  ExchangeBuffers exchange_;
  ExpertScratch expert_scratch_;
  SharedRows shared_rows_;
  std::vector<Layer> layers_;
  TensorArena storage_;
  TensorView top_;       // output of the last layer
  TensorView d_hidden_;  // gradient of a layer's output, then, piece by piece, of its input
  Buffer tokens_, labels_;
  Buffer sums_;                    // fp64: see SumOf
  std::vector<double> read_sums_;  // the same, on the host
  RoutedBatch batch_;
};

}  // namespace weft
