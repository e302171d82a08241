#include "tensor/kernels/cuda/lt_products.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace weft {
namespace {

constexpr int64_t kAlignment = 16;  // bytes, of every address
constexpr int kCaller = 0;          // the workspace of the caller's stream; those of lanes follow

// The row count that algorithms of products of rows are chosen for, and counts which the chosen one
// must take.
constexpr int64_t kChosenRows = 4096;
constexpr std::array<int64_t, 10> kTakenRows = {1, 2, 7, 16, 63, 128, 500, 1024, 8192, 100000};

bool Aligned(const ConstTensorView& matrix) {
  return reinterpret_cast<uintptr_t>(matrix.data) % kAlignment == 0 &&
         matrix.dim(1) * SizeOf(matrix.dtype) % kAlignment == 0;
}

// A row-major matrix is its transposed, column-major.
LtMatrix Transposed(DType type, int64_t rows, int64_t columns) {
  return {.type = type, .rows = columns, .columns = rows, .stride = columns};
}

// c^T = op(b)^T op(a)^T.
LtProduct ProductOf(bool transpose_a, bool transpose_b, bool accumulate, DType c,
                    const GemmShape& shape) {
  const auto [m, k, n] = shape;
  return {.transpose_a = transpose_b,
          .transpose_b = transpose_a,
          .accumulate = accumulate,
          .a = Transposed(DType::kBF16, transpose_b ? n : k, transpose_b ? k : n),
          .b = Transposed(DType::kBF16, transpose_a ? k : m, transpose_a ? m : k),
          .c = Transposed(c, m, n)};
}

}  // namespace

bool LtProducts::Gemm(const GemmArgs& args, const GemmShape& shape) {
  return Run(args, shape, kCaller, queue_.stream());
}

bool LtProducts::Run(const GemmArgs& args, const GemmShape& shape, int lane, cudaStream_t stream) {
  if (args.a.dtype != DType::kBF16 || shape.m == 0 || shape.k == 0 || shape.n == 0 ||
      !Aligned(args.a) || !Aligned(args.b) || !Aligned(args.c)) {
    return false;
  }
  const Kind kind = {.transpose_a = args.transpose_a,
                     .transpose_b = args.transpose_b,
                     .accumulate = args.accumulate,
                     .c = args.c.dtype,
                     .m = args.transpose_a ? shape.m : 0,
                     .k = args.transpose_a
                              ? static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(shape.k)))
                              : shape.k,
                     .n = shape.n};
  const std::optional<LtAlgorithm>& algorithm = AlgorithmFor(kind);
  if (!algorithm.has_value()) return false;
  workspaces_.Reserve(WorkspaceBytes(library_));
  char* const workspace = workspaces_.as<char>() + lane * library_.workspace_bytes();
  const LtProduct product =
      ProductOf(args.transpose_a, args.transpose_b, args.accumulate, args.c.dtype, shape);
  const absl::Status status =
      library_.Run(product, *algorithm, args.b.data, args.a.data, args.c.data, workspace, stream);
  if (!status.ok()) {
    // Another way would give these rows other bits than the rest has.
    queue_.Failed(absl::StrCat("the product of [", shape.m, ", ", shape.k, "] and [", shape.k, ", ",
                               shape.n, "] in bf16: ", status.message()));
  } else if (stream == queue_.stream()) {
    queue_.Issued(cudaSuccess, "Gemm");
  }
  return true;
}

const std::optional<LtAlgorithm>& LtProducts::AlgorithmFor(const Kind& kind) {
  const auto found = algorithms_.find(kind);
  if (found != algorithms_.end()) return found->second;
  return algorithms_.emplace(kind, Choose(kind)).first->second;
}

std::optional<LtAlgorithm> LtProducts::Choose(const Kind& kind) {
  const auto product = [&kind](int64_t rows) {
    const GemmShape shape =
        kind.transpose_a ? GemmShape{kind.m, rows, kind.n} : GemmShape{rows, kind.k, kind.n};
    return ProductOf(kind.transpose_a, kind.transpose_b, kind.accumulate, kind.c, shape);
  };
  std::vector<int64_t> taken(kTakenRows.begin(), kTakenRows.end());
  if (kind.transpose_a) taken = {kind.k / 2 + 1, kind.k / 4 * 3, kind.k};
  for (const LtAlgorithm& algorithm :
       library_.Candidates(product(kind.transpose_a ? kind.k : kChosenRows))) {
    const bool takes = std::all_of(taken.begin(), taken.end(), [&](int64_t rows) {
      return rows == 0 || library_.Takes(product(rows), algorithm);
    });
    if (takes) return algorithm;
  }
  return std::nullopt;
}

LtProducts::Beside::Beside(LtProducts& products, int64_t expected)
    : products_(products), lanes_(static_cast<int>(std::min<int64_t>(expected, Lanes::kMost))) {
  if (lanes_ > 1) products_.lanes_.Fork(lanes_);
}

LtProducts::Beside::~Beside() {
  if (lanes_ > 1) products_.lanes_.Join();
}

bool LtProducts::Beside::Gemm(const GemmArgs& args, const GemmShape& shape) {
  if (lanes_ <= 1) return products_.Gemm(args, shape);
  const int lane = next_;
  next_ = (next_ + 1) % lanes_;
  return products_.Run(args, shape, lane + 1, products_.lanes_.stream(lane));
}

}  // namespace weft
