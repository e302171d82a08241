#include "models/transformer/attention_block.h"

#include "absl/strings/str_cat.h"

namespace weft {

AttentionBlock::AttentionBlock(const ModelContext& context, Parameters& parameters,
                               SharedRows& rows, int32_t layer)
    : context_(context),
      rows_(rows),
      heads_(context.spec.num_heads / context.layout.mp),
      kv_heads_(context.spec.num_kv_heads / context.layout.mp),
      norm_(context, parameters.dense(layer), absl::StrCat("layers.", layer, ".attn_norm"),
            rows.rows()),
      qkv_(parameters.attention(layer), absl::StrCat("layers.", layer, ".attn.qkv")),
      out_(parameters.attention(layer), parameters.dense(layer),
           absl::StrCat("layers.", layer, ".attn.out")),
      storage_(context.kernels->memory()) {
  const int64_t tokens = rows.rows();
  const int64_t width = context.spec.hidden_size;
  const int64_t attended = int64_t{heads_} * context.spec.head_dim();
  const int64_t qkv = qkv_.out_features();
  const DType dtype = context.spec.dtype();
  storage_.Add(qkv_rows_, dtype, {tokens, qkv});
  storage_.Add(d_qkv_rows_, dtype, {tokens, qkv});
  storage_.Add(attended_, dtype, {tokens, attended});
  storage_.Add(d_rows_, dtype, {tokens, width});
  storage_.Add(lse_, DType::kF32,
               {rows.members() * context.batch.sequences, heads_, context.batch.length});
  if (dtype != DType::kF32) storage_.Add(d_kv_, DType::kF32, {tokens, qkv - attended});
  if (!alone()) {
    storage_.Add(d_attended_, dtype, {tokens, attended});
    storage_.Add(x_, dtype, {tokens, width});
    storage_.Add(dy_, dtype, {tokens, width});
  }
  storage_.Make();
  // Equally wide, and used one after the other: they share their rows.
  if (alone()) d_attended_ = d_rows_;
}

template <typename Args>
void AttentionBlock::SetShape(RowRange rows, Args& args) const {
  args.sequences = rows_.members() * context_.batch.sequences;
  args.length = context_.batch.length;
  args.heads = heads_;
  args.kv_heads = kv_heads_;
  args.head_dim = context_.spec.head_dim();
  args.begin = rows.begin;
  args.end = rows.end;
}

void AttentionBlock::Rope(RowRange rows, TensorView qkv, bool inverse) {
  if (context_.spec.backbone != Backbone::kMixtral) return;
  context_.kernels->Rope({.x = Rows(qkv, rows),
                          .sequences = rows_.members() * context_.batch.sequences,
                          .length = context_.batch.length,
                          .rotated_heads = heads_ + kv_heads_,
                          .head_dim = context_.spec.head_dim(),
                          .theta = static_cast<float>(context_.spec.rope_theta),
                          .inverse = inverse,
                          .begin = rows.begin});
}

absl::Status AttentionBlock::Gather(Direction direction, RowRange tokens, ConstTensorView own,
                                    double* size) {
  return rows_.Gather(tokens, own, direction == Direction::kForward ? x_ : dy_, size);
}

void AttentionBlock::Forward(RowRange tokens, ConstTensorView x, TensorView y) {
  Kernels& kernels = *context_.kernels;
  for (int32_t member = 0; member < rows_.members(); ++member) {
    const TensorView out = alone() ? Rows(y, tokens) : rows_.Partial(member, tokens);
    ForwardHeads(rows_.of(member, tokens), All(x_, x), out);
    if (member != rows_.own()) continue;
    out_.AddBias(kernels, out);
    kernels.Add(Rows(x, tokens), out, out);
  }
}

void AttentionBlock::ForwardHeads(RowRange rows, ConstTensorView x, TensorView y) {
  Kernels& kernels = *context_.kernels;
  qkv_.Forward(kernels, norm_.Forward(x, rows), Rows(qkv_rows_, rows));
  Rope(rows, qkv_rows_, false);
  AttentionForwardArgs args;
  args.qkv = qkv_rows_;
  args.out = attended_;
  args.lse = lse_;
  SetShape(rows, args);
  kernels.AttentionForward(args);
  out_.ForwardProduct(kernels, Rows(attended_, rows), y);
}

void AttentionBlock::Backward(RowRange tokens, ConstTensorView dy, ConstTensorView x,
                              TensorView dx) {
  for (int32_t member = 0; member < rows_.members(); ++member) {
    const TensorView out = alone() ? Rows(dx, tokens) : rows_.Partial(member, tokens);
    BackwardHeads(rows_.of(member, tokens), All(dy_, dy), All(x_, x), out);
    if (member == rows_.own()) context_.kernels->Add(out, Rows(dy, tokens), out);
  }
}

void AttentionBlock::BackwardHeads(RowRange rows, ConstTensorView dy, ConstTensorView x,
                                   TensorView dx) {
  Kernels& kernels = *context_.kernels;
  out_.BackwardData(kernels, Rows(dy, rows), Rows(d_attended_, rows));
  AttentionBackwardArgs args;
  args.qkv = qkv_rows_;
  args.out = attended_;
  args.lse = lse_;
  args.d_out = d_attended_;
  args.d_qkv = d_qkv_rows_;
  args.d_kv = d_kv_;
  SetShape(rows, args);
  kernels.AttentionBackward(args);
  Rope(rows, d_qkv_rows_, true);
  const TensorView d_rows = Rows(d_rows_, rows);
  qkv_.BackwardData(kernels, Rows(d_qkv_rows_, rows), d_rows);
  norm_.BackwardData(d_rows, x, dx, rows);
}

void AttentionBlock::BackwardWeights(ConstTensorView dy, ConstTensorView x) {
  Kernels& kernels = *context_.kernels;
  out_.BackwardProduct(kernels, All(dy_, dy), attended_);
  out_.BackwardBias(kernels, dy);
  qkv_.BackwardWeight(kernels, d_qkv_rows_, norm_.output());
  norm_.BackwardWeight(d_rows_, All(x_, x));
}

}  // namespace weft
