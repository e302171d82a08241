#include <algorithm>

#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

namespace weft {

void ReferenceKernels::GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) {
  CheckGather(x, index, {}, y);
  const int64_t width = x.dim(1);
  for (int64_t i = 0; i < y.dim(0); ++i) {
    std::copy_n(x.as<float>() + index.as<int32_t>()[i] * width, width, y.as<float>() + i * width);
  }
}

void ReferenceKernels::GatherScaledRows(ConstTensorView x, ConstTensorView index,
                                        ConstTensorView weight, TensorView y) {
  CheckGather(x, index, weight, y);
  const int64_t width = x.dim(1);
  for (int64_t i = 0; i < y.dim(0); ++i) {
    const float* row = x.as<float>() + index.as<int32_t>()[i] * width;
    for (int64_t c = 0; c < width; ++c) {
      y.as<float>()[i * width + c] = weight.as<float>()[i] * row[c];
    }
  }
}

void ReferenceKernels::GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                                 bool accumulate, TensorView y) {
  CheckGatherSum(x, slot, weight, y);
  const int64_t width = x.dim(1), top_k = slot.dim(1);
  for (int64_t t = 0; t < y.dim(0); ++t) {
    for (int64_t c = 0; c < width; ++c) {
      float& out = y.as<float>()[t * width + c];
      double sum = accumulate ? out : 0.0;
      for (int64_t j = 0; j < top_k; ++j) {
        const int32_t row = slot.as<int32_t>()[t * top_k + j];
        if (row < 0) continue;
        const double w = weight.data == nullptr ? 1.0 : weight.as<float>()[t * top_k + j];
        sum += w * x.as<float>()[row * width + c];
      }
      out = static_cast<float>(sum);
    }
  }
}

void ReferenceKernels::GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                                 TensorView d) {
  CheckGatherDot(a, x, slot, d);
  const int64_t width = x.dim(1), top_k = slot.dim(1);
  for (int64_t i = 0; i < slot.elements(); ++i) {
    const int32_t row = slot.as<int32_t>()[i];
    double sum = 0;
    for (int64_t c = 0; row >= 0 && c < width; ++c) {
      sum += static_cast<double>(a.as<float>()[i / top_k * width + c]) *
             x.as<float>()[row * width + c];
    }
    d.as<float>()[i] = static_cast<float>(sum);
  }
}

}  // namespace weft
