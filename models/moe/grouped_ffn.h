#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/model_spec.h"
#include "models/parameters.h"
#include "models/transformer/linear.h"

namespace weft {

// The same linear layer of several experts, over rows that stand expert by expert: products of all
// of them are one call. Holds views only.
class GroupedLinear {
 public:
  void Add(const Linear& linear);

  // `rows`: of each expert; activations have all of them, one expert's after another's.
  void Forward(Kernels& kernels, ConstTensorView x, std::span<const int64_t> rows,
               TensorView y) const;
  void BackwardData(Kernels& kernels, ConstTensorView dy, std::span<const int64_t> rows,
                    TensorView dx) const;
  void BackwardWeight(Kernels& kernels, ConstTensorView dy, ConstTensorView x,
                      std::span<const int64_t> rows) const;

 private:
  std::vector<Linear> linears_;
  std::vector<ConstTensorView> weights_;
  std::vector<TensorView> d_weights_;
};

// The feed-forward networks of several experts (or of shards of them): models/transformer/ffn.h for
// rows that stand expert by expert.
class GroupedFfn {
 public:
  GroupedFfn() = default;
  // Of experts with `hidden_units` units each.
  GroupedFfn(const ModelSpec& spec, int64_t hidden_units)
      : swiglu_(spec.backbone == Backbone::kMixtral), hidden_units_(hidden_units) {}
  // One more: parameters `name`.in.* and `name`.out.* of the bucket.
  void Add(Bucket& bucket, const std::string& name);

  size_t size() const { return experts_; }
  int64_t hidden_units() const { return hidden_units_; }
  int64_t pre_width() const { return swiglu_ ? 2 * hidden_units_ : hidden_units_; }

  // As in Ffn, for all experts. `rows`: of each.
  void Forward(Kernels& kernels, std::span<const int64_t> rows, ConstTensorView x, TensorView pre,
               TensorView act, TensorView y) const;
  void BackwardData(Kernels& kernels, std::span<const int64_t> rows, ConstTensorView dy,
                    ConstTensorView pre, TensorView d_act, TensorView d_pre, TensorView dx) const;
  void BackwardWeight(Kernels& kernels, std::span<const int64_t> rows, ConstTensorView dy,
                      ConstTensorView act, ConstTensorView d_pre, ConstTensorView x) const;

 private:
  bool swiglu_ = false;
  int64_t hidden_units_ = 0;
  size_t experts_ = 0;
  GroupedLinear in_, out_;
};

}  // namespace weft
