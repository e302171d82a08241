#include "models/transformer/transformer.h"

#include <algorithm>

#include "models/op_sizes.h"

namespace weft {

Transformer::Transformer(const ModelContext& context, Parameters& parameters)
    : context_(context),
      ends_(context_, parameters.outer()),
      exchange_(context_),
      expert_scratch_(context_.kernels->memory()),
      shared_rows_(context_),
      storage_(context_.kernels->memory()),
      tokens_(context_.kernels->memory()),
      labels_(context_.kernels->memory()),
      sums_(context_.kernels->memory()),
      read_sums_(static_cast<size_t>(context_.spec.num_layers) + 1) {
  const ModelSpec& spec = context_.spec;
  const Shape shape = {context_.batch.tokens(), spec.hidden_size};
  for (int32_t i = 0; i < spec.num_layers; ++i) {
    Layer layer;
    layer.attention = std::make_unique<AttentionBlock>(context_, parameters, shared_rows_, i);
    if (spec.is_moe_layer(i)) {
      layer.moe = std::make_unique<MoeLayer>(context_, parameters.dense(i), parameters.experts(i),
                                             exchange_, expert_scratch_, i);
    } else {
      layer.ffn = std::make_unique<DenseFfnBlock>(context_, parameters.dense(i), i);
    }
    layers_.push_back(std::move(layer));
  }
  for (Layer& layer : layers_) {
    for (TensorView* of_tokens : {&layer.input, &layer.middle, &layer.d_middle})
      storage_.Add(*of_tokens, spec.dtype(), shape);
  }
  storage_.Add(top_, spec.dtype(), shape);
  storage_.Add(d_hidden_, spec.dtype(), shape);
  storage_.Make();
  sums_.Ensure<double>({static_cast<int64_t>(read_sums_.size())});
}

void Transformer::Begin(StepKind kind, std::span<const LayerWays> layers,
                        std::span<const int32_t> tokens, std::span<const int32_t> labels,
                        const RoutedBatch& batch) {
  kind_ = kind;
  batch_ = batch;
  Memory& memory = context_.kernels->memory();
  const auto upload = [&memory](std::span<const int32_t> from, Buffer& to) {
    const Shape shape = {static_cast<int64_t>(from.size())};
    memory.FromHost(View(from.data(), shape), to.Ensure<int32_t>(shape));
  };
  upload(tokens, tokens_);
  upload(labels, labels_);
  memory.Zero(View(sums_.as<double>(), {static_cast<int64_t>(read_sums_.size())}));
  for (size_t i = 0; i < layers_.size(); ++i) {
    Layer& layer = layers_[i];
    layer.cut = LayerCut(context_.batch, layers[i].forward, layers[i].backward);
    if (layer.moe != nullptr)
      layer.moe->Prepare(layer.cut, layers[i].all_to_all, *layers[i].placement, layers[i].gathered);
  }
}

LossSums Transformer::ReadSums() {
  const Shape shape = {static_cast<int64_t>(read_sums_.size())};
  context_.kernels->memory().ToHost(View(sums_.as<double>(), shape),
                                    View(read_sums_.data(), shape));
  // In the order of the layers, whatever order their pieces ran in.
  LossSums sums;
  sums.cross_entropy = read_sums_[0];
  for (size_t i = 1; i < read_sums_.size(); ++i) sums.balance += read_sums_[i];
  return sums;
}

ConstTensorView Transformer::OfMicroBatch(const Buffer& of, int32_t micro_batch) const {
  const int64_t count = context_.batch.tokens();
  return View(of.as<int32_t>() + micro_batch * count, {count});
}

void Transformer::CopyExpertCounts(std::span<int32_t> counts) const {
  auto to = counts.begin();
  for (const Layer& layer : layers_) {
    if (layer.moe == nullptr) continue;
    const std::span<const int32_t> of = layer.moe->router().step_counts();
    to = std::copy(of.begin(), of.end(), to);
  }
}

absl::Status Transformer::Run(const Op& op, const PlanTask& task, double* size) {
  const ConstTensorView tokens = OfMicroBatch(tokens_, op.micro_batch);
  const bool forward = op.direction() == Direction::kForward;
  *size = op.size;
  switch (op.key.kind) {
    case OpKind::kEmbedding:
      forward ? ends_.EmbedForward(tokens, layers_[0].input)
              : ends_.EmbedBackward(d_hidden_, tokens);
      return absl::OkStatus();
    case OpKind::kHead:
      forward ? ends_.HeadForward(top_, OfMicroBatch(labels_, op.micro_batch),
                                  kind_ == StepKind::kTraining, SumOf(-1))
              : ends_.HeadBackward(top_, d_hidden_);
      return absl::OkStatus();
    default: {
      const auto index = static_cast<size_t>(op.layer);
      return RunLayer(layers_[index], index, op, task, size);
    }
  }
}

absl::Status Transformer::RunLayer(Layer& layer, size_t index, const Op& op, const PlanTask& task,
                                   double* size) {
  const bool forward = op.direction() == Direction::kForward;
  switch (op.key.kind) {
    case OpKind::kMpAllGather:
    case OpKind::kAttention:
    case OpKind::kMpReduceScatter:
      return RunAttention(layer, op, task, size);
    case OpKind::kAttentionWgrad:
      layer.attention->BackwardWeights(layer.d_middle, layer.input);
      if (layer.moe != nullptr) layer.moe->BackwardDenseWeights(layer.middle);
      return absl::OkStatus();
    case OpKind::kDenseFfn:
      forward ? layer.ffn->Forward(layer.middle, Output(index))
              : layer.ffn->Backward(d_hidden_, layer.middle, layer.d_middle);
      return absl::OkStatus();
    default: {
      RoutedBatch batch = batch_;
      batch.first_sequence += op.micro_batch * context_.batch.sequences;
      return layer.moe->Run(op, task.chunk,
                            {.x = layer.middle,
                             .y = Output(index),
                             .dy = d_hidden_,
                             .dx = layer.d_middle,
                             .batch = batch,
                             .balance_loss = SumOf(op.layer)},
                            size);
    }
  }
}

absl::Status Transformer::RunAttention(Layer& layer, const Op& op, const PlanTask& task,
                                       double* size) {
  const Direction direction = op.direction();
  const bool forward = direction == Direction::kForward;
  const RowRange tokens = layer.cut.tokens(direction, task.chunk);
  if (op.key.kind == OpKind::kMpAllGather) {
    return layer.attention->Gather(direction, tokens, forward ? layer.input : layer.d_middle, size);
  }
  if (op.key.kind == OpKind::kMpReduceScatter)
    return shared_rows_.Scatter(tokens, forward ? layer.middle : d_hidden_, size);
  *size = AttentionFlops(context_.spec, context_.batch, tokens, direction);
  if (forward) {
    layer.attention->Forward(tokens, layer.input, layer.middle);
  } else {
    layer.attention->Backward(tokens, layer.d_middle, layer.input, d_hidden_);
  }
  return absl::OkStatus();
}

}  // namespace weft
