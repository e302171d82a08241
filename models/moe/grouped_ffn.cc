#include "models/moe/grouped_ffn.h"

#include "absl/strings/str_cat.h"

namespace weft {

void GroupedLinear::Add(const Linear& linear) {
  linears_.push_back(linear);
  weights_.push_back(linear.weight());
  d_weights_.push_back(linear.d_weight());
}

void GroupedLinear::Forward(Kernels& kernels, ConstTensorView x, std::span<const int64_t> rows,
                            TensorView y) const {
  kernels.GroupedGemm({.a = x, .rows = rows, .b = weights_, .transpose_b = true, .c = y});
  int64_t begin = 0;
  for (size_t e = 0; e < rows.size(); begin += rows[e++])
    linears_[e].AddBias(kernels, Rows(y, begin, rows[e]));
}

void GroupedLinear::BackwardData(Kernels& kernels, ConstTensorView dy,
                                 std::span<const int64_t> rows, TensorView dx) const {
  kernels.GroupedGemm({.a = dy, .rows = rows, .b = weights_, .c = dx});
}

void GroupedLinear::BackwardWeight(Kernels& kernels, ConstTensorView dy, ConstTensorView x,
                                   std::span<const int64_t> rows) const {
  kernels.GroupedWgrad({.a = dy, .b = x, .rows = rows, .c = d_weights_});
  int64_t begin = 0;
  for (size_t e = 0; e < rows.size(); begin += rows[e++])
    linears_[e].BackwardBias(kernels, Rows(dy, begin, rows[e]));
}

void GroupedFfn::Add(Bucket& bucket, const std::string& name) {
  in_.Add(Linear(bucket, absl::StrCat(name, ".in")));
  out_.Add(Linear(bucket, absl::StrCat(name, ".out")));
  ++experts_;
}

void GroupedFfn::Forward(Kernels& kernels, std::span<const int64_t> rows, ConstTensorView x,
                         TensorView pre, TensorView act, TensorView y) const {
  in_.Forward(kernels, x, rows, pre);
  swiglu_ ? kernels.SwigluForward(pre, act) : kernels.GeluForward(pre, act);
  out_.Forward(kernels, act, rows, y);
}

void GroupedFfn::BackwardData(Kernels& kernels, std::span<const int64_t> rows, ConstTensorView dy,
                              ConstTensorView pre, TensorView d_act, TensorView d_pre,
                              TensorView dx) const {
  out_.BackwardData(kernels, dy, rows, d_act);
  swiglu_ ? kernels.SwigluBackward(d_act, pre, d_pre) : kernels.GeluBackward(d_act, pre, d_pre);
  in_.BackwardData(kernels, d_pre, rows, dx);
}

void GroupedFfn::BackwardWeight(Kernels& kernels, std::span<const int64_t> rows, ConstTensorView dy,
                                ConstTensorView act, ConstTensorView d_pre,
                                ConstTensorView x) const {
  out_.BackwardWeight(kernels, dy, act, rows);
  in_.BackwardWeight(kernels, d_pre, x, rows);
}

}  // namespace weft
