#include "tensor/kernels/grouped_products.h"

#include "tensor/kernels/check_args.h"

namespace weft {

void ForEachGroup(const GroupedGemmArgs& args,
                  const std::function<void(const GemmArgs&)>& product) {
  CheckGroupedGemm(args);
  int64_t begin = 0;
  for (size_t group = 0; group < args.rows.size(); ++group) {
    const int64_t rows = args.rows[group];
    if (rows == 0) continue;
    product({.a = Rows(args.a, begin, rows),
             .b = args.b[group],
             .c = Rows(args.c, begin, rows),
             .transpose_b = args.transpose_b});
    begin += rows;
  }
}

void ForEachGroup(const GroupedWgradArgs& args,
                  const std::function<void(const GemmArgs&)>& product) {
  CheckGroupedWgrad(args);
  int64_t begin = 0;
  for (size_t group = 0; group < args.rows.size(); ++group) {
    const int64_t rows = args.rows[group];
    if (rows == 0) continue;
    product({.a = Rows(args.a, begin, rows),
             .b = Rows(args.b, begin, rows),
             .c = args.c[group],
             .transpose_a = true,
             .accumulate = true});
    begin += rows;
  }
}

void GemmOfEachGroup(Kernels& kernels, const GroupedGemmArgs& args) {
  ForEachGroup(args, [&kernels](const GemmArgs& product) { kernels.Gemm(product); });
}

void WgradOfEachGroup(Kernels& kernels, const GroupedWgradArgs& args) {
  ForEachGroup(args, [&kernels](const GemmArgs& product) { kernels.Gemm(product); });
}

}  // namespace weft
