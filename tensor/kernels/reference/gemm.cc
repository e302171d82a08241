#include "tensor/kernels/check_args.h"
#include "tensor/kernels/reference/reference_kernels.h"

namespace weft {

void ReferenceKernels::Gemm(const GemmArgs& args) {
  const auto [m, k, n] = CheckGemm(args);
  const float* a = args.a.as<float>();
  const float* b = args.b.as<float>();
  float* c = args.c.as<float>();
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      double sum = args.accumulate ? c[i * n + j] : 0.0;
      for (int64_t p = 0; p < k; ++p) {
        const double left = args.transpose_a ? a[p * m + i] : a[i * k + p];
        const double right = args.transpose_b ? b[j * k + p] : b[p * n + j];
        sum += left * right;
      }
      c[i * n + j] = static_cast<float>(sum);
    }
  }
}

}  // namespace weft
