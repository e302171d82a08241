#include "models/transformer/transformer.h"

namespace weft {

Transformer::Transformer(const ModelContext& context, Parameters& parameters)
    : context_(context), ends_(context_, parameters.outer()), exchange_(context_) {
  const ModelSpec& spec = context_.spec;
  const Shape shape = {context_.batch.tokens(), spec.hidden_size};
  float* data = storage_.Ensure<float>({(2 * spec.num_layers + 3) * shape.elements()}).as<float>();
  const auto take = [&data, &shape] {
    const TensorView view = View(data, shape);
    data += shape.elements();
    return view;
  };
  for (int32_t i = 0; i < spec.num_layers; ++i) {
    Layer layer;
    layer.attention = std::make_unique<AttentionBlock>(context_, parameters.dense(i), i);
    if (spec.is_moe_layer(i)) {
      layer.moe = std::make_unique<MoeLayer>(context_, parameters.dense(i), parameters.experts(i),
                                             exchange_, i);
    } else {
      layer.ffn = std::make_unique<DenseFfnBlock>(context_, parameters.dense(i), i);
    }
    layer.input = take();
    layer.middle = take();
    layers_.push_back(std::move(layer));
  }
  top_ = take();
  d_hidden_ = take();
  d_middle_ = take();
}

void Transformer::Begin(StepKind kind, std::span<const LayerDegrees> degrees,
                        std::span<const int32_t> tokens, std::span<const int32_t> labels) {
  kind_ = kind;
  tokens_ = tokens;
  labels_ = labels;
  sums_ = LossSums{};
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].moe != nullptr)
      layers_[i].moe->SetDegrees(degrees[i].forward, degrees[i].backward);
  }
}

absl::Status Transformer::Run(const Op& op, const PlanTask& task, double* size) {
  const int64_t count = context_.batch.tokens();
  const ConstTensorView tokens = View(tokens_.data() + op.micro_batch * count, {count});
  const ConstTensorView labels = View(labels_.data() + op.micro_batch * count, {count});
  const bool forward = op.direction() == Direction::kForward;
  *size = op.size;
  switch (op.key.kind) {
    case OpKind::kEmbedding:
      forward ? ends_.EmbedForward(tokens, layers_[0].input)
              : ends_.EmbedBackward(d_hidden_, tokens);
      return absl::OkStatus();
    case OpKind::kHead:
      forward ? ends_.HeadForward(top_, labels, kind_ == StepKind::kTraining, &sums_.cross_entropy)
              : ends_.HeadBackward(top_, d_hidden_);
      return absl::OkStatus();
    default:
      break;
  }
  const auto index = static_cast<size_t>(op.layer);
  Layer& layer = layers_[index];
  switch (op.key.kind) {
    case OpKind::kAttention:
      forward ? layer.attention->Forward(layer.input, layer.middle)
              : layer.attention->Backward(d_middle_, layer.input, d_hidden_);
      return absl::OkStatus();
    case OpKind::kDenseFfn:
      forward ? layer.ffn->Forward(layer.middle, Output(index))
              : layer.ffn->Backward(d_hidden_, layer.middle, d_middle_);
      return absl::OkStatus();
    default:
      return layer.moe->Run(op, task.chunk,
                            {.x = layer.middle,
                             .y = Output(index),
                             .dy = d_hidden_,
                             .dx = d_middle_,
                             .balance_loss = &sums_.balance},
                            size);
  }
}

}  // namespace weft
