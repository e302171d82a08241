#include "tensor/kernels/host_kernels.h"

#include <cstring>
#include <vector>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/grouped_products.h"

namespace weft {

void HostKernels::GroupedGemm(const GroupedGemmArgs& args) { GemmOfEachGroup(*this, args); }
void HostKernels::GroupedWgrad(const GroupedWgradArgs& args) { WgradOfEachGroup(*this, args); }

void HostKernels::Convert(ConstTensorView from, TensorView to) {
  CheckConvert(from, to);
  const int64_t count = to.elements();
  if (from.dtype == to.dtype) {
    memory().Copy(from, to);
  } else if (to.dtype == DType::kBF16) {
    const float* const wide = from.as<float>();
    auto* const narrow = to.as<BFloat16>();
    for (int64_t i = 0; i < count; ++i) narrow[i] = BFloat16::FromFloat(wide[i]);
  } else {
    const auto* const narrow = from.as<BFloat16>();
    float* const wide = to.as<float>();
    for (int64_t i = 0; i < count; ++i) wide[i] = narrow[i].ToFloat();
  }
}

void HostKernels::CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) {
  CheckCopyRows(from, blocks, to);
  const int64_t row_bytes = to.dim(1) * SizeOf(to.dtype);
  const char* const source = static_cast<const char*>(from.data);
  char* const target = static_cast<char*>(to.data);
  for (const RowBlock& block : blocks) {
    if (block.count == 0) continue;
    std::memcpy(target + block.to * row_bytes, source + block.from * row_bytes,
                static_cast<size_t>(block.count * row_bytes));
  }
}

void HostKernels::BalanceLoss(const BalanceLossArgs& args) {
  CheckBalanceLoss(args);
  const int64_t experts = args.probs.dim(1);
  const int64_t k = args.experts.dim(1);
  const float* const probs = args.probs.as<float>();
  const int32_t* const chosen = args.experts.as<int32_t>();
  float* const d_probs = args.d_probs.as<float>();
  double* const loss = args.loss_sum.as<double>();
  const auto length = static_cast<double>(args.length);
  // Of one sequence, by expert; kept, because a warm step allocates nothing.
  static thread_local std::vector<int64_t> counts;
  static thread_local std::vector<double> sums;
  for (int64_t first = 0; first < args.probs.dim(0); first += args.length) {
    const int64_t last = first + args.length;
    counts.assign(static_cast<size_t>(experts), 0);
    sums.assign(static_cast<size_t>(experts), 0.0);
    for (int64_t i = first * k; i < last * k; ++i) ++counts[static_cast<size_t>(chosen[i])];
    for (int64_t t = first; t < last; ++t) {
      for (int64_t e = 0; e < experts; ++e) sums[static_cast<size_t>(e)] += probs[t * experts + e];
    }
    for (int64_t e = 0; e < experts; ++e) {
      const double fraction = static_cast<double>(counts[static_cast<size_t>(e)]) /
                              static_cast<double>(k * args.length);
      *loss += args.coefficient * fraction * sums[static_cast<size_t>(e)] / length;
      const auto gradient = static_cast<float>(args.coefficient * fraction / length);
      for (int64_t t = first; t < last; ++t) d_probs[t * experts + e] = gradient;
    }
  }
}

}  // namespace weft
