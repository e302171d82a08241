#include "models/transformer/attention_block.h"

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

// Sets the dimensions that both attention argument structs share.
template <typename Args>
Args WithShape(const ModelContext& context, Args args) {
  args.sequences = context.batch.sequences;
  args.length = context.batch.length;
  args.heads = context.spec.num_heads;
  args.kv_heads = context.spec.num_kv_heads;
  args.head_dim = context.spec.head_dim();
  return args;
}

}  // namespace

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

void AttentionBlock::Rope(TensorView qkv, bool inverse) {
  if (context_.spec.backbone != Backbone::kMixtral) return;
  context_.kernels->Rope({.x = qkv,
                          .sequences = context_.batch.sequences,
                          .length = context_.batch.length,
                          .rotated_heads = context_.spec.num_heads + context_.spec.num_kv_heads,
                          .head_dim = context_.spec.head_dim(),
                          .theta = static_cast<float>(context_.spec.rope_theta),
                          .inverse = inverse});
}

void AttentionBlock::Forward(ConstTensorView x, TensorView y) {
  Kernels& kernels = *context_.kernels;
  qkv_.Forward(kernels, norm_.Forward(x), qkv_rows_);
  Rope(qkv_rows_, false);
  AttentionForwardArgs args;
  args.qkv = qkv_rows_;
  args.out = attended_;
  args.lse = lse_;
  kernels.AttentionForward(WithShape(context_, args));
  out_.Forward(kernels, attended_, y);
  kernels.Add(x, y, y);
}

void AttentionBlock::Backward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  Kernels& kernels = *context_.kernels;
  out_.BackwardWeight(kernels, dy, attended_);
  out_.BackwardData(kernels, dy, d_rows_);
  AttentionBackwardArgs args;
  args.qkv = qkv_rows_;
  args.out = attended_;
  args.lse = lse_;
  args.d_out = d_rows_;
  args.d_qkv = d_qkv_rows_;
  kernels.AttentionBackward(WithShape(context_, args));
  Rope(d_qkv_rows_, true);
  qkv_.BackwardWeight(kernels, d_qkv_rows_, norm_.output());
  qkv_.BackwardData(kernels, d_qkv_rows_, d_rows_);
  norm_.Backward(d_rows_, x, dx);
  kernels.Add(dx, dy, dx);
}

}  // namespace weft
