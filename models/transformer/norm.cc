#include "models/transformer/norm.h"

#include "absl/strings/str_cat.h"

namespace weft {

Norm::Norm(const ModelContext& context, Bucket& bucket, const std::string& name)
    : context_(context), layer_norm_(context.spec.backbone == Backbone::kGpt2) {
  const Parameter& gamma = bucket.Find(absl::StrCat(name, ".weight"));
  gamma_ = bucket.Value(gamma);
  d_gamma_ = bucket.Gradient(gamma);
  if (layer_norm_) {
    const Parameter& beta = bucket.Find(absl::StrCat(name, ".bias"));
    beta_ = bucket.Value(beta);
    d_beta_ = bucket.Gradient(beta);
  }
  const int64_t tokens = context.batch.tokens();
  const int64_t width = context.spec.hidden_size;
  float* data = storage_.Ensure<float>({tokens * (width + 2)}).as<float>();
  y_ = View(data, {tokens, width});
  mean_ = View(data + tokens * width, {tokens});
  rstd_ = View(data + tokens * (width + 1), {tokens});
}

TensorView Norm::Forward(ConstTensorView x) {
  NormForwardArgs args;
  args.x = x;
  args.gamma = gamma_;
  args.beta = beta_;
  args.epsilon = static_cast<float>(context_.spec.norm_epsilon);
  args.y = y_;
  args.mean = mean_;
  args.rstd = rstd_;
  layer_norm_ ? context_.kernels->LayerNormForward(args) : context_.kernels->RmsNormForward(args);
  return y_;
}

void Norm::Backward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  NormBackwardArgs args;
  args.dy = dy;
  args.x = x;
  args.gamma = gamma_;
  args.mean = mean_;
  args.rstd = rstd_;
  args.dx = dx;
  args.d_gamma = d_gamma_;
  args.d_beta = d_beta_;
  layer_norm_ ? context_.kernels->LayerNormBackward(args) : context_.kernels->RmsNormBackward(args);
}

}  // namespace weft
