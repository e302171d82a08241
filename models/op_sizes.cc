#include "models/op_sizes.h"

#include <algorithm>

namespace weft {
namespace {

double Bytes(DType dtype) { return static_cast<double>(SizeOf(dtype)); }

// dX and dW: twice the products of the forward pass.
double WithBackward(double forward, bool backward) { return backward ? 2.0 * forward : forward; }

double Matrices(const ModelSpec& spec) { return spec.backbone == Backbone::kMixtral ? 3.0 : 2.0; }

double ProjectionFlops(const ModelSpec& spec, int64_t tokens) {
  const double width = spec.hidden_size;
  const double qkv = (spec.num_heads + 2.0 * spec.num_kv_heads) * spec.head_dim();
  return 2.0 * static_cast<double>(tokens) * width * (qkv + width);
}

}  // namespace

double AllGatherBytes(int64_t own, int32_t group_size, DType dtype) {
  return Bytes(dtype) * static_cast<double>(own) * (group_size - 1);
}

double ReduceScatterBytes(int64_t total, int64_t own, DType dtype) {
  return Bytes(dtype) * static_cast<double>(total - own);
}

double AllReduceBytes(int64_t elements, int32_t group_size, DType dtype) {
  return 2.0 * Bytes(dtype) * static_cast<double>(elements) * (group_size - 1) / group_size;
}

double AllToAllBytes(int64_t to_others, DType dtype) {
  return Bytes(dtype) * static_cast<double>(to_others);
}

double ExpertFlops(const ModelSpec& spec, int64_t hidden_units, int64_t rows) {
  return 2.0 * Matrices(spec) * static_cast<double>(rows) * static_cast<double>(spec.hidden_size) *
         static_cast<double>(hidden_units);
}

double AttentionFlops(const ModelSpec& spec, const BatchShape& batch, RowRange tokens,
                      Direction direction) {
  const double width = spec.hidden_size;
  // Causal: position p meets p + 1 keys; counted as p + 1/2, which makes half of all pairs.
  double pairs = 0;
  for (int64_t t = tokens.begin; t < tokens.end;) {
    const int64_t first = t % batch.length;
    const int64_t last = std::min(batch.length, first + tokens.end - t);
    pairs += 0.5 * static_cast<double>(last - first) * static_cast<double>(last + first);
    t += last - first;
  }
  const double products = ProjectionFlops(spec, tokens.count());
  const double scores = 4.0 * pairs * width;
  return direction == Direction::kForward ? products + scores : products + 2.0 * scores;
}

double AttentionWgradFlops(const ModelSpec& spec, const BatchShape& batch) {
  return ProjectionFlops(spec, batch.tokens());
}

double SharedExpertFlops(const ModelSpec& spec, int64_t tokens) {
  return ExpertFlops(spec, spec.shared_hidden_size(), tokens);
}

double DenseFfnFlops(const ModelSpec& spec, const BatchShape& batch, bool backward) {
  return WithBackward(ExpertFlops(spec, spec.ffn_hidden_size, batch.tokens()), backward);
}

double HeadFlops(const ModelSpec& spec, const BatchShape& batch, bool backward) {
  const double forward =
      2.0 * static_cast<double>(batch.tokens()) * spec.hidden_size * spec.vocab_size;
  return WithBackward(forward, backward);
}

double StepFlops(const ModelSpec& spec, const BatchShape& batch) {
  BatchShape whole = batch;
  whole.sequences = batch.global_sequences;
  double total = 3.0 * HeadFlops(spec, whole, false);
  for (int32_t layer = 0; layer < spec.num_layers; ++layer) {
    total += 3.0 * AttentionFlops(spec, whole, {0, whole.tokens()}, Direction::kForward);
    total += 3.0 * (spec.is_moe_layer(layer)
                        ? ExpertFlops(spec, spec.ffn_hidden_size, whole.tokens() * spec.moe.top_k) +
                              SharedExpertFlops(spec, whole.tokens())
                        : DenseFfnFlops(spec, whole, false));
  }
  return total;
}

}  // namespace weft
