#include "tensor/kernels/grouped_products.h"

#include "tensor/kernels/check_args.h"

namespace weft {

void GemmOfEachGroup(Kernels& kernels, const GroupedGemmArgs& args) {
  CheckGroupedGemm(args);
  int64_t begin = 0;
  for (size_t group = 0; group < args.rows.size(); ++group) {
    const int64_t rows = args.rows[group];
    if (rows == 0) continue;
    kernels.Gemm({.a = Rows(args.a, begin, rows),
                  .b = args.b[group],
                  .c = Rows(args.c, begin, rows),
                  .transpose_b = args.transpose_b});
    begin += rows;
  }
}

void WgradOfEachGroup(Kernels& kernels, const GroupedWgradArgs& args) {
  CheckGroupedWgrad(args);
  int64_t begin = 0;
  for (size_t group = 0; group < args.rows.size(); ++group) {
    const int64_t rows = args.rows[group];
    if (rows == 0) continue;
    kernels.Gemm({.a = Rows(args.a, begin, rows),
                  .b = Rows(args.b, begin, rows),
                  .c = args.c[group],
                  .transpose_a = true,
                  .accumulate = true});
    begin += rows;
  }
}

}  // namespace weft
