#include "models/transformer/norm.h"

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

TensorView Part(const TensorView& vector, RowRange rows) {
  return Elements(vector, rows.begin, rows.count());
}

}  // namespace

Norm::Norm(const ModelContext& context, Bucket& bucket, const std::string& name, int64_t tokens)
    : context_(context),
      layer_norm_(context.spec.backbone == Backbone::kGpt2),
      storage_(context.kernels->memory()) {
  const Parameter& gamma = bucket.Find(absl::StrCat(name, ".weight"));
  gamma_ = bucket.Weight(gamma);
  d_gamma_ = bucket.Gradient(gamma);
  if (layer_norm_) {
    const Parameter& beta = bucket.Find(absl::StrCat(name, ".bias"));
    beta_ = bucket.Weight(beta);
    d_beta_ = bucket.Gradient(beta);
  }
  const int64_t width = context.spec.hidden_size;
  storage_.Add(y_, context.spec.dtype(), {tokens, width});
  storage_.Add(mean_, DType::kF32, {tokens});
  storage_.Add(rstd_, DType::kF32, {tokens});
  storage_.Make();
}

TensorView Norm::Forward(ConstTensorView x, RowRange rows) {
  NormForwardArgs args;
  args.x = Rows(x, rows);
  args.gamma = gamma_;
  args.beta = beta_;
  args.epsilon = static_cast<float>(context_.spec.norm_epsilon);
  args.y = Rows(y_, rows);
  args.mean = Part(mean_, rows);
  args.rstd = Part(rstd_, rows);
  layer_norm_ ? context_.kernels->LayerNormForward(args) : context_.kernels->RmsNormForward(args);
  return args.y;
}

void Norm::Backward(ConstTensorView dy, ConstTensorView x, TensorView dx) {
  NormBackwardArgs args;
  args.dy = dy;
  args.x = x;
  args.mean = mean_;
  args.rstd = rstd_;
  args.dx = dx;
  args.d_gamma = d_gamma_;
  args.d_beta = d_beta_;
  Run(args);
}

void Norm::BackwardData(ConstTensorView dy, ConstTensorView x, TensorView dx, RowRange rows) {
  NormBackwardArgs args;
  args.dy = dy;
  args.x = Rows(x, rows);
  args.mean = Part(mean_, rows);
  args.rstd = Part(rstd_, rows);
  args.dx = dx;
  Run(args);
}

void Norm::BackwardWeight(ConstTensorView dy, ConstTensorView x) { Backward(dy, x, TensorView()); }

void Norm::Run(NormBackwardArgs args) {
  args.gamma = gamma_;
  layer_norm_ ? context_.kernels->LayerNormBackward(args) : context_.kernels->RmsNormBackward(args);
}

}  // namespace weft
