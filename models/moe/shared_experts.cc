#include "models/moe/shared_experts.h"

#include "absl/strings/str_cat.h"

namespace weft {

SharedExperts::SharedExperts(const ModelContext& context, Bucket& dense, int32_t layer)
    : context_(context),
      ffn_(context.spec, dense, absl::StrCat("layers.", layer, ".shared_experts"),
           context.spec.shared_hidden_size()),
      storage_(context.kernels->memory()) {
  const int64_t tokens = context.batch.tokens();
  const DType dtype = context.spec.dtype();
  for (TensorView* of_units : {&pre_, &d_pre_})
    storage_.Add(*of_units, dtype, {tokens, ffn_.pre_width()});
  for (TensorView* of_units : {&act_, &d_act_})
    storage_.Add(*of_units, dtype, {tokens, ffn_.hidden_units()});
  storage_.Add(dy_, dtype, {tokens, context.spec.hidden_size});
  storage_.Make();
}

void SharedExperts::Forward(RowRange tokens, ConstTensorView x, TensorView y) {
  ffn_.Forward(*context_.kernels, Rows(x, tokens), Rows(pre_, tokens), Rows(act_, tokens),
               Rows(y, tokens));
}

void SharedExperts::Backward(RowRange tokens, ConstTensorView dy, TensorView dx) {
  Kernels& kernels = *context_.kernels;
  const RowBlock block = {tokens.begin, tokens.begin, tokens.count()};
  kernels.CopyRows(dy, {&block, 1}, dy_);
  ffn_.BackwardData(kernels, Rows(dy_, tokens), Rows(pre_, tokens), Rows(d_act_, tokens),
                    Rows(d_pre_, tokens), Rows(dx, tokens));
}

void SharedExperts::BackwardWeights(ConstTensorView x) {
  ffn_.BackwardWeight(*context_.kernels, dy_, act_, d_pre_, x);
}

}  // namespace weft
