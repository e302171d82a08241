#include "models/transformer/ffn.h"

#include "absl/strings/str_cat.h"

namespace weft {

Ffn::Ffn(const ModelSpec& spec, Bucket& bucket, const std::string& name, int64_t hidden_units)
    : swiglu_(spec.backbone == Backbone::kMixtral),
      hidden_units_(hidden_units),
      in_(bucket, absl::StrCat(name, ".in")),
      out_(bucket, absl::StrCat(name, ".out")) {}

void Ffn::Forward(Kernels& kernels, ConstTensorView x, TensorView pre, TensorView act,
                  TensorView y) const {
  in_.Forward(kernels, x, pre);
  swiglu_ ? kernels.SwigluForward(pre, act) : kernels.GeluForward(pre, act);
  out_.Forward(kernels, act, y);
}

void Ffn::BackwardData(Kernels& kernels, ConstTensorView dy, ConstTensorView pre, TensorView d_act,
                       TensorView d_pre, TensorView dx) const {
  out_.BackwardData(kernels, dy, d_act);
  swiglu_ ? kernels.SwigluBackward(d_act, pre, d_pre) : kernels.GeluBackward(d_act, pre, d_pre);
  in_.BackwardData(kernels, d_pre, dx);
}

void Ffn::BackwardWeight(Kernels& kernels, ConstTensorView dy, ConstTensorView act,
                         ConstTensorView d_pre, ConstTensorView x) const {
  out_.BackwardWeight(kernels, dy, act);
  in_.BackwardWeight(kernels, d_pre, x);
}

}  // namespace weft
