#include "models/transformer/head.h"

namespace weft {

EmbeddingAndHead::EmbeddingAndHead(const ModelContext& context, Bucket& outer)
    : context_(context), norm_(context, outer, "final_norm"), storage_(context.kernels->memory()) {
  const Parameter& table = outer.Find("embed.weight");
  table_ = outer.Weight(table);
  d_table_ = outer.Gradient(table);
  if (context.spec.backbone == Backbone::kGpt2) {
    const Parameter& positions = outer.Find("positions.weight");
    positions_ = outer.Weight(positions);
    d_positions_ = outer.Gradient(positions);
  }
  const int64_t tokens = context.batch.tokens();
  const int64_t width = context.spec.hidden_size;
  const int64_t vocab = context.spec.vocab_size;
  storage_.Add(logits_, context.spec.dtype(), {tokens, vocab});
  storage_.Add(d_rows_, context.spec.dtype(), {tokens, width});
  storage_.Make();
}

void EmbeddingAndHead::EmbedForward(ConstTensorView tokens, TensorView y) {
  context_.kernels->EmbeddingForward(tokens, table_, positions_, context_.batch.length, y);
}

void EmbeddingAndHead::EmbedBackward(ConstTensorView dy, ConstTensorView tokens) {
  context_.kernels->EmbeddingBackward(dy, tokens, context_.batch.length, d_table_, d_positions_);
}

void EmbeddingAndHead::HeadForward(ConstTensorView x, ConstTensorView labels, bool want_gradient,
                                   TensorView loss_sum) {
  Kernels& kernels = *context_.kernels;
  kernels.Gemm({.a = norm_.Forward(x), .b = table_, .c = logits_, .transpose_b = true});
  kernels.CrossEntropy({.logits = logits_,
                        .labels = labels,
                        .scale = 1.0f / static_cast<float>(context_.batch.global_tokens()),
                        .want_gradient = want_gradient,
                        .loss_sum = loss_sum});
}

void EmbeddingAndHead::HeadBackward(ConstTensorView x, TensorView dx) {
  Kernels& kernels = *context_.kernels;
  kernels.Gemm(
      {.a = logits_, .b = norm_.output(), .c = d_table_, .transpose_a = true, .accumulate = true});
  kernels.Gemm({.a = logits_, .b = table_, .c = d_rows_});
  norm_.Backward(d_rows_, x, dx);
}

}  // namespace weft
