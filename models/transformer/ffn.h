#pragma once

#include <string>

#include "models/model_spec.h"
#include "models/transformer/linear.h"

namespace weft {

// The feed-forward network of a dense layer, or one expert's shard of it: GELU (2 products) or
// SwiGLU (3 products, gate and up fused into one matrix). Holds views only. Per row: pre
// [pre_width], act [hidden_units].
class Ffn {
 public:
  // Parameters `name`.in.* and `name`.out.* of the bucket.
  Ffn(const ModelSpec& spec, Bucket& bucket, const std::string& name, int64_t hidden_units);

  int64_t hidden_units() const { return hidden_units_; }
  int64_t pre_width() const { return in_.out_features(); }

  // pre = in(x); act = activation(pre); y = out(act). x, y [rows, hidden].
  void Forward(Kernels& kernels, ConstTensorView x, TensorView pre, TensorView act,
               TensorView y) const;
  // d_pre and dx from dy. d_act [rows, hidden_units] is scratch.
  void BackwardData(Kernels& kernels, ConstTensorView dy, ConstTensorView pre, TensorView d_act,
                    TensorView d_pre, TensorView dx) const;
  // Weight gradients over all rows at once: their bits do not depend on how the rows were cut
  // before.
  void BackwardWeight(Kernels& kernels, ConstTensorView dy, ConstTensorView act,
                      ConstTensorView d_pre, ConstTensorView x) const;

 private:
  bool swiglu_;
  int64_t hidden_units_;
  Linear in_, out_;
};

}  // namespace weft
