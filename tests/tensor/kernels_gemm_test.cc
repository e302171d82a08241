#include <numeric>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tensor/device/buffer.h"
#include "tests/tensor/kernels_support.h"

namespace weft {
namespace {

struct GemmCase {
  int64_t m, k, n;
};

const std::vector<GemmCase> kCases = {{0, 8, 8},    {8, 0, 8},     {8, 8, 0},     {1, 1, 1},
                                      {1, 64, 64},  {7, 33, 5},    {63, 80, 96},  {65, 128, 64},
                                      {130, 17, 1}, {200, 64, 37}, {257, 32, 64}, {1100, 16, 24}};

class KernelsGemmTest : public FastKernelsTest {
 protected:
  // c of both implementations for one flavour.
  void Compare(const GemmCase& shape, bool transpose_a, bool transpose_b, bool accumulate) {
    const auto [m, k, n] = shape;
    SCOPED_TRACE(absl::StrCat(m, " x ", k, " x ", n, transpose_a ? " ta" : "",
                              transpose_b ? " tb" : "", accumulate ? " +=" : ""));
    const Floats a = Floats::Normal(transpose_a ? Shape{k, m} : Shape{m, k}, 1);
    const Floats b = Floats::Normal(transpose_b ? Shape{n, k} : Shape{k, n}, 2);
    Floats expected = Floats::Normal({m, n}, 3), actual = expected;
    reference_->Gemm({a.view(), b.view(), expected.view(), transpose_a, transpose_b, accumulate});
    fast_->Gemm({a.view(), b.view(), actual.view(), transpose_a, transpose_b, accumulate});
    // k roundings of partial sums of the size of sqrt(k): about k units of the last place at worst.
    EXPECT_TRUE(Near(actual, expected, 3e-6 + 3e-8 * static_cast<double>(k)));
  }
};

TEST_P(KernelsGemmTest, EqualsTheReference) {
  for (const GemmCase& shape : kCases) {
    for (const bool transpose_a : {false, true}) {
      for (const bool transpose_b : {false, true}) {
        for (const bool accumulate : {false, true}) {
          Compare(shape, transpose_a, transpose_b, accumulate);
        }
      }
    }
  }
}

// k is the number of rows there and changes at every step.
TEST_P(KernelsGemmTest, GradientsOfWeightsTakeAnyNumberOfRows) {
  for (const int64_t k : {1, 15, 63, 64, 65, 127, 500, 1024, 1025, 2100}) {
    Compare({24, k, 40}, true, false, true);
  }
}

TEST_P(KernelsGemmTest, TheSameArgumentsGiveTheSameBits) {
  const Floats a = Floats::Normal({333, 48}, 4), b = Floats::Normal({333, 56}, 5);
  Floats first({48, 56}), second({48, 56});
  fast_->Gemm({a.view(), b.view(), first.view(), true, false, false});
  Make()->Gemm({a.view(), b.view(), second.view(), true, false, false});
  EXPECT_TRUE(SameBits(second, first));
}

// Groups of any size, none included, are the products of each group alone: bit for bit, where Gemm
// computes them.
TEST_P(KernelsGemmTest, GroupsAreProductsOfTheirOwn) {
  for (const std::vector<int64_t>& rows : std::vector<std::vector<int64_t>>{
           {}, {0}, {5}, {0, 0, 7}, {70, 0, 1, 64, 129, 0}, {1, 1, 1, 1, 1, 1, 1, 200}}) {
    const int64_t k = 48, n = 40;
    const auto groups = static_cast<int64_t>(rows.size());
    const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
    const Floats a = Floats::Normal({total, k}, 6), wide = Floats::Normal({total, n}, 7);
    for (const bool transpose_b : {false, true}) {
      const Shape shape = transpose_b ? Shape{n, k} : Shape{k, n};
      std::vector<Floats> b, gradients;
      for (int64_t g = 0; g < groups; ++g) {
        b.push_back(Floats::Normal(shape, static_cast<uint64_t>(10 + g)));
        gradients.push_back(Floats::Normal({k, n}, static_cast<uint64_t>(30 + g)));
      }
      std::vector<ConstTensorView> matrices;
      matrices.reserve(b.size());
      for (const Floats& matrix : b) matrices.push_back(matrix.view());
      std::vector<Floats> expected_gradients = gradients;
      std::vector<TensorView> sums;
      sums.reserve(gradients.size());
      for (Floats& gradient : gradients) sums.push_back(gradient.view());
      Floats c({total, n}), expected({total, n});
      fast_->GroupedGemm({a.view(), rows, matrices, transpose_b, c.view()});
      fast_->GroupedWgrad({a.view(), wide.view(), rows, sums});
      int64_t begin = 0;
      for (size_t g = 0; g < rows.size(); begin += rows[g++]) {
        if (rows[g] == 0) continue;
        const ConstTensorView own = Rows(a.view(), begin, rows[g]);
        fast_->Gemm({own, b[g].view(), Rows(expected.view(), begin, rows[g]), false, transpose_b});
        fast_->Gemm({own, Rows(wide.view(), begin, rows[g]), expected_gradients[g].view(), true,
                     false, true});
      }
      EXPECT_TRUE(GetParam().groups_like_gemm ? SameBits(c, expected) : Near(c, expected, 1e-5));
      for (size_t g = 0; g < rows.size(); ++g) {
        EXPECT_TRUE(weft::Near(gradients[g], expected_gradients[g], 1e-5)) << "group " << g;
        if (rows[g] > 0) continue;
        EXPECT_TRUE(SameBits(gradients[g], expected_gradients[g]));
      }
    }
  }
}

// A group of rows with a matrix of its own, in a call with others.
struct GroupOfRows {
  size_t matrix;
  int64_t begin, rows;
};

// Whoever computes groups, a row does not know who else is in the call: any cut of the rows of all
// groups into calls gives the same bits.
TEST_P(KernelsGemmTest, ARowOfAGroupDependsOnTheRowAlone) {
  const int64_t k = 136, n = 72;
  const std::vector<int64_t> rows = {130, 0, 3, 64, 201};
  const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  const Floats a = Floats::Normal({total, k}, 40);
  for (const bool transpose_b : {false, true}) {
    std::vector<Floats> b;
    for (size_t g = 0; g < rows.size(); ++g)
      b.push_back(Floats::Normal(transpose_b ? Shape{n, k} : Shape{k, n}, 50 + g));
    const auto compute = [&](const std::vector<GroupOfRows>& groups, int64_t begin, Floats& c) {
      std::vector<ConstTensorView> matrices;
      std::vector<int64_t> counts;
      int64_t end = begin;
      for (const GroupOfRows& group : groups) {
        ASSERT_EQ(group.begin, end);
        matrices.push_back(b[group.matrix].view());
        counts.push_back(group.rows);
        end += group.rows;
      }
      fast_->GroupedGemm({Rows(a.view(), begin, end - begin), counts, matrices, transpose_b,
                          Rows(c.view(), begin, end - begin)});
    };
    Floats whole({total, n});
    compute({{0, 0, 130}, {1, 130, 0}, {2, 130, 3}, {3, 133, 64}, {4, 197, 201}}, 0, whole);
    Floats cut({total, n});
    compute({{0, 0, 1}}, 0, cut);
    compute({{0, 1, 127}}, 1, cut);
    compute({{0, 128, 2}, {2, 130, 3}, {3, 133, 40}}, 128, cut);
    compute({{3, 173, 24}, {1, 197, 0}, {4, 197, 100}}, 173, cut);
    compute({{4, 297, 101}}, 297, cut);
    EXPECT_TRUE(SameBits(cut, whole)) << (transpose_b ? "transposed" : "plain");
  }
}

// More groups than a launch's parameters hold, with rows and without.
TEST_P(KernelsGemmTest, ThereMayBeHundredsOfGroups) {
  const int64_t groups = 512, k = 8, n = 16;
  std::vector<int64_t> rows;
  for (int64_t g = 0; g < groups; ++g) rows.push_back(g % 3 == 0 ? 0 : g % 5);
  const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  const Floats a = Floats::Normal({total, k}, 60), wide = Floats::Normal({total, n}, 61);
  std::vector<Floats> b, sums;
  for (int64_t g = 0; g < groups; ++g) {
    b.push_back(Floats::Normal({n, k}, static_cast<uint64_t>(100 + g)));
    sums.push_back(Floats::Normal({k, n}, static_cast<uint64_t>(700 + g)));
  }
  std::vector<Floats> expected_sums = sums;
  std::vector<ConstTensorView> matrices;
  std::vector<TensorView> gradients, expected_gradients;
  matrices.reserve(b.size());
  gradients.reserve(b.size());
  expected_gradients.reserve(b.size());
  for (const Floats& matrix : b) matrices.push_back(matrix.view());
  for (Floats& sum : sums) gradients.push_back(sum.view());
  for (Floats& sum : expected_sums) expected_gradients.push_back(sum.view());
  Floats c({total, n}), expected({total, n});
  fast_->GroupedGemm({a.view(), rows, matrices, true, c.view()});
  fast_->GroupedWgrad({a.view(), wide.view(), rows, gradients});
  reference_->GroupedGemm({a.view(), rows, matrices, true, expected.view()});
  reference_->GroupedWgrad({a.view(), wide.view(), rows, expected_gradients});
  EXPECT_TRUE(Near(c, expected, 1e-5));
  for (size_t g = 0; g < sums.size(); ++g) {
    ASSERT_TRUE(Near(sums[g], expected_sums[g], 1e-5)) << "group " << g;
  }
}

// Every number of rows alone, in a longer product, and at another place of it.
TEST_P(KernelsGemmTest, BitsOfARowDependOnTheRowAlone) {
  for (const GemmCase& shape : std::vector<GemmCase>{
           {1200, 64, 64}, {300, 200, 72}, {160, 512, 48}, {140, 1030, 33}, {140, 31, 8}}) {
    const auto [m, k, n] = shape;
    const Floats a = Floats::Normal({m, k}, 6);
    for (const bool transpose_b : {false, true}) {
      for (const bool accumulate : {false, true}) {
        const Floats b = Floats::Normal(transpose_b ? Shape{n, k} : Shape{k, n}, 7);
        const Floats start = Floats::Normal({m, n}, 8);
        Floats whole = start;
        fast_->Gemm({a.view(), b.view(), whole.view(), false, transpose_b, accumulate});
        for (const int64_t piece : {1, 2, 7, 8, 9, 31, 64, 65, 100, 128, 129, 250, 256, 300, 700}) {
          if (piece > m) continue;
          Floats cut = start;
          for (int64_t row = 0; row < m; row += piece) {
            const int64_t rows = std::min(piece, m - row);
            fast_->Gemm({Rows(a.view(), row, rows), b.view(), Rows(cut.view(), row, rows), false,
                         transpose_b, accumulate});
            if (piece < 8 && row > 40) {  // enough of the small ones: the rest in one piece
              const int64_t rest = row + rows;
              fast_->Gemm({Rows(a.view(), rest, m - rest), b.view(),
                           Rows(cut.view(), rest, m - rest), false, transpose_b, accumulate});
              break;
            }
          }
          ASSERT_TRUE(SameBits(cut, whole))
              << "pieces of " << piece << " of " << m << " x " << k << " x " << n
              << (transpose_b ? " tb" : "") << (accumulate ? " +=" : "");
        }
      }
    }
  }
}

// Weights of zeros tell nothing about the order of sums: what is decided while they are must hold
// when they are trained.
TEST_P(KernelsGemmTest, RowsStayInvariantAfterWeightsOfZeros) {
  const int64_t m = 1024, k = 512, n = 512, few = 3;
  const Floats a = Floats::Normal({m, k}, 9), trained = Floats::Normal({n, k}, 10), zeros({n, k});
  Floats whole({m, n}), part({few, n});
  for (const Floats* weights : {&zeros, &trained}) {
    fast_->Gemm({a.view(), weights->view(), whole.view(), false, true, false});
    fast_->Gemm({Rows(a.view(), 0, few), weights->view(), part.view(), false, true, false});
  }
  Floats expected({few, n});
  std::copy_n(whole.values().begin(), few * n, expected.values().begin());
  EXPECT_TRUE(SameBits(part, expected));
}

// Tall enough for the products of most rows, wide enough that their number is bounded by the width.
TEST_P(KernelsGemmTest, ManyRowsOfAWideProductKeepTheirBits) {
  const int64_t m = 450, k = 4, n = 40000;
  const Floats a = Floats::Normal({m, k}, 11), b = Floats::Normal({n, k}, 12);
  Floats whole({m, n}), cut({m, n});
  fast_->Gemm({a.view(), b.view(), whole.view(), false, true, false});
  for (const auto& [begin, end] :
       std::vector<std::pair<int64_t, int64_t>>{{0, 3}, {3, 270}, {270, 450}}) {
    fast_->Gemm({Rows(a.view(), begin, end - begin), b.view(), Rows(cut.view(), begin, end - begin),
                 false, true, false});
  }
  EXPECT_TRUE(SameBits(cut, whole));
}

// Loads change at every step; once all their sizes were seen, no scratch memory grows any more.
TEST_P(KernelsGemmTest, WarmProductsAllocateNothing) {
  const int64_t most = 90, k = 40, n = 56;
  const Floats x = Floats::Normal({most, k}, 13), w = Floats::Normal({n, k}, 14);
  Floats y({most, n}), dw({n, k});
  const auto step = [&](int64_t rows) {
    fast_->Gemm({Rows(x.view(), 0, rows), w.view(), Rows(y.view(), 0, rows), false, true, false});
    fast_->Gemm({Rows(y.view(), 0, rows), Rows(x.view(), 0, rows), dw.view(), true, false, true});
  };
  for (int64_t rows = 1; rows <= most; ++rows) step(rows);
  const int64_t before = Buffer::GrowthCount();
  for (int64_t rows = most; rows >= 1; --rows) step(rows);
  EXPECT_EQ(Buffer::GrowthCount(), before);
}

// Ranks are threads of one process: each has kernels of its own and calls them beside the others,
// from any thread.
TEST_P(KernelsGemmTest, ObjectsOnDifferentThreadsDoNotTouchEachOther) {
  const int64_t m = 100, k = 64, n = 96;
  const Floats b = Floats::Normal({k, n}, 15);
  const auto run = [&](Kernels& kernels, uint64_t seed) {
    Floats c({m, n});
    for (int i = 0; i < 20; ++i) {
      const Floats a = Floats::Normal({m, k}, seed);
      kernels.Gemm({a.view(), b.view(), c.view(), false, false, i > 0});
    }
    return c;
  };
  constexpr size_t kThreads = 3;
  std::vector<std::unique_ptr<Kernels>> kernels;
  std::vector<Floats> results(kThreads, Floats({m, n}));
  for (size_t i = 0; i < kThreads; ++i) kernels.push_back(Make());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] { results[i] = run(*kernels[i], 20 + i); });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < kThreads; ++i) EXPECT_TRUE(SameBits(results[i], run(*fast_, 20 + i)));
}

INSTANTIATE_TEST_SUITE_P(Fast, KernelsGemmTest, ::testing::ValuesIn(Implementations()), NameOf);

}  // namespace
}  // namespace weft
