#include "models/transformer/dense_ffn_block.h"

#include "absl/strings/str_cat.h"

namespace weft {

DenseFfnBlock::DenseFfnBlock(const ModelContext& context, Bucket& bucket, int32_t layer)
    : context_(context),
      norm_(context, bucket, absl::StrCat("layers.", layer, ".ffn_norm")),
      ffn_(context.spec, bucket, absl::StrCat("layers.", layer, ".ffn"),
           context.spec.ffn_hidden_size),
      storage_(context.kernels->memory()) {
  const int64_t tokens = context.batch.tokens();
  const int64_t width = context.spec.hidden_size;
  for (TensorView* of_units : {&pre_, &d_pre_})
    storage_.Add(*of_units, context.spec.dtype(), {tokens, ffn_.pre_width()});
  for (TensorView* of_units : {&act_, &d_act_})
    storage_.Add(*of_units, context.spec.dtype(), {tokens, ffn_.hidden_units()});
  storage_.Add(d_rows_, context.spec.dtype(), {tokens, width});
  storage_.Make();
}

void DenseFfnBlock::Forward(ConstTensorView x, TensorView y) {
  Kernels& kernels = *context_.kernels;
  ffn_.Forward(kernels, norm_.Forward(x), pre_, act_, y);
  kernels.Add(x, y, y);
}

void DenseFfnBlock::Backward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  Kernels& kernels = *context_.kernels;
  ffn_.BackwardData(kernels, dy, pre_, d_act_, d_pre_, d_rows_);
  ffn_.BackwardWeight(kernels, dy, act_, d_pre_, norm_.output());
  norm_.Backward(d_rows_, x, dx);
  kernels.Add(dx, dy, dx);
}

}  // namespace weft
