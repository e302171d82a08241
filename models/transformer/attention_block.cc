#include "models/transformer/attention_block.h"

#include "absl/strings/str_cat.h"

namespace weft {

AttentionBlock::AttentionBlock(const ModelContext& context, Bucket& bucket, int32_t layer)
    : context_(context),
      norm_(context, bucket, absl::StrCat("layers.", layer, ".attn_norm")),
      qkv_(bucket, absl::StrCat("layers.", layer, ".attn.qkv")),
      out_(bucket, absl::StrCat("layers.", layer, ".attn.out")) {
  const int64_t tokens = context.batch.tokens();
  const int64_t width = context.spec.hidden_size;
  const int64_t qkv = qkv_.out_features();
  const int64_t heads = context.spec.num_heads;
  float* data = storage_.Ensure<float>({tokens * (2 * qkv + 2 * width + heads)}).as<float>();
  const auto take = [&data](const Shape& shape) {
    const TensorView view = View(data, shape);
    data += shape.elements();
    return view;
  };
  qkv_rows_ = take({tokens, qkv});
  d_qkv_rows_ = take({tokens, qkv});
  attended_ = take({tokens, width});
  d_rows_ = take({tokens, width});
  lse_ = take({context.batch.sequences, heads, context.batch.length});
}

template <typename Args>
void AttentionBlock::SetShape(RowRange tokens, Args& args) const {
  args.sequences = context_.batch.sequences;
  args.length = context_.batch.length;
  args.heads = context_.spec.num_heads;
  args.kv_heads = context_.spec.num_kv_heads;
  args.head_dim = context_.spec.head_dim();
  args.begin = tokens.begin;
  args.end = tokens.end;
}

void AttentionBlock::Rope(RowRange tokens, TensorView qkv, bool inverse) {
  if (context_.spec.backbone != Backbone::kMixtral) return;
  context_.kernels->Rope({.x = Rows(qkv, tokens),
                          .sequences = context_.batch.sequences,
                          .length = context_.batch.length,
                          .rotated_heads = context_.spec.num_heads + context_.spec.num_kv_heads,
                          .head_dim = context_.spec.head_dim(),
                          .theta = static_cast<float>(context_.spec.rope_theta),
                          .inverse = inverse,
                          .begin = tokens.begin});
}

void AttentionBlock::Forward(RowRange tokens, ConstTensorView x, TensorView y) {
  Kernels& kernels = *context_.kernels;
  qkv_.Forward(kernels, norm_.Forward(x, tokens), Rows(qkv_rows_, tokens));
  Rope(tokens, qkv_rows_, false);
  AttentionForwardArgs args;
  args.qkv = qkv_rows_;
  args.out = attended_;
  args.lse = lse_;
  SetShape(tokens, args);
  kernels.AttentionForward(args);
  const TensorView out = Rows(y, tokens);
  out_.Forward(kernels, Rows(attended_, tokens), out);
  kernels.Add(Rows(x, tokens), out, out);
}

void AttentionBlock::Backward(RowRange tokens, ConstTensorView dy, ConstTensorView x,
                              TensorView dx) {
  Kernels& kernels = *context_.kernels;
  const TensorView d_rows = Rows(d_rows_, tokens);
  out_.BackwardData(kernels, Rows(dy, tokens), d_rows);
  AttentionBackwardArgs args;
  args.qkv = qkv_rows_;
  args.out = attended_;
  args.lse = lse_;
  args.d_out = d_rows_;
  args.d_qkv = d_qkv_rows_;
  SetShape(tokens, args);
  kernels.AttentionBackward(args);
  Rope(tokens, d_qkv_rows_, true);
  qkv_.BackwardData(kernels, Rows(d_qkv_rows_, tokens), d_rows);
  norm_.BackwardData(d_rows, x, dx, tokens);
  kernels.Add(Rows(dx, tokens), Rows(dy, tokens), Rows(dx, tokens));
}

void AttentionBlock::BackwardWeights(ConstTensorView dy, ConstTensorView x) {
  Kernels& kernels = *context_.kernels;
  out_.BackwardWeight(kernels, dy, attended_);
  qkv_.BackwardWeight(kernels, d_qkv_rows_, norm_.output());
  norm_.BackwardWeight(d_rows_, x);
}

}  // namespace weft
