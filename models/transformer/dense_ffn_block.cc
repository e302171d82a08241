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
  float* data =
      storage_.Ensure<float>({tokens * (2 * ffn_.pre_width() + 2 * ffn_.hidden_units() + width)})
          .as<float>();
  const auto take = [&data, tokens](int64_t columns) {
    const TensorView view = View(data, {tokens, columns});
    data += tokens * columns;
    return view;
  };
  pre_ = take(ffn_.pre_width());
  d_pre_ = take(ffn_.pre_width());
  act_ = take(ffn_.hidden_units());
  d_act_ = take(ffn_.hidden_units());
  d_rows_ = take(width);
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
