#include "tensor/kernels/mixed_kernels.h"

#include <algorithm>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/grouped_products.h"

namespace weft {
TensorView MixedKernels::Scratch(const Shape& shape) {
  if (used_ == scratch_.size()) scratch_.emplace_back();
  return scratch_[used_++].Ensure<float>(shape);
}

ConstTensorView MixedKernels::Read(const ConstTensorView& view, Type /*type*/) {
  if (view.dtype != DType::kBF16) return view;
  const TensorView wide = Scratch(view.shape);
  inner().Convert(view, wide);
  return wide;
}

TensorView MixedKernels::Written(const TensorView& view, Type /*type*/, Before before) {
  if (view.dtype != DType::kBF16) return view;
  const TensorView wide = Scratch(view.shape);
  if (before == Before::kKept) inner().Convert(view, wide);
  written_.push_back({wide, view});
  return wide;
}

void MixedKernels::End() {
  for (const auto& [fp32, bf16] : written_) inner().Convert(fp32, bf16);
  written_.clear();
  used_ = 0;
}

// A product after the other: all matrices widened at once would be another copy of the experts.
void MixedKernels::GroupedGemm(const GroupedGemmArgs& args) { GemmOfEachGroup(*this, args); }
void MixedKernels::GroupedWgrad(const GroupedWgradArgs& args) { WgradOfEachGroup(*this, args); }

void MixedKernels::Add(ConstTensorView a, ConstTensorView b, TensorView y) {
  if (y.dtype != DType::kBF16) return inner().Add(a, b, y);
  CheckSameElements(a, b);
  CheckSameElements(a, y);
  const auto* const left = a.as<BFloat16>();
  const auto* const right = b.as<BFloat16>();
  auto* const sum = y.as<BFloat16>();
  for (int64_t i = 0; i < y.elements(); ++i)
    sum[i] = BFloat16::FromFloat(left[i].ToFloat() + right[i].ToFloat());
}

void MixedKernels::CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) {
  inner().CopyRows(from, blocks, to);
}

// Between the pieces of a backward the gradients of keys and values are sums that must not be
// rounded: they wait in d_kv.
void MixedKernels::AttentionBackward(const AttentionBackwardArgs& args) {
  if (args.qkv.dtype != DType::kBF16) return inner().AttentionBackward(args);
  const RowRange range = CheckAttentionBackward(args);
  AttentionBackwardArgs own = args;
  own.qkv = Read(args.qkv, Type::kT);
  own.out = Read(args.out, Type::kT);
  own.d_out = Read(args.d_out, Type::kT);
  own.d_qkv = Scratch(args.d_qkv.shape);
  const int64_t width = args.d_qkv.dim(1);
  const int64_t kv_width = 2 * args.kv_heads * args.head_dim;
  const bool in_pieces = args.d_kv.data != nullptr;
  float* const wide = own.d_qkv.as<float>();
  if (in_pieces) {
    const auto* const sums = args.d_kv.as<float>();
    for (int64_t row = 0; row < range.end; ++row)
      std::copy_n(sums + row * kv_width, kv_width, wide + (row + 1) * width - kv_width);
  }
  inner().AttentionBackward(own);
  if (in_pieces) {
    auto* const sums = args.d_kv.as<float>();
    for (int64_t row = 0; row < range.begin; ++row)
      std::copy_n(wide + (row + 1) * width - kv_width, kv_width, sums + row * kv_width);
  }
  inner().Convert(Rows(own.d_qkv, range), Rows(args.d_qkv, range));
  End();
}

void MixedKernels::AdamW(const AdamWArgs& args) {
  AdamWArgs own = args;
  own.rounded = {};
  inner().AdamW(own);
  if (args.rounded.data != nullptr) inner().Convert(args.parameter, args.rounded);
}

}  // namespace weft
