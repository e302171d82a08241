#include "absl/strings/str_cat.h"
#include "tests/tensor/kernels_support.h"

namespace weft {
namespace {

struct AttentionCase {
  int64_t sequences, length, heads, kv_heads, head_dim;
};

const std::vector<AttentionCase> kCases = {
    {0, 16, 2, 2, 32}, {2, 0, 2, 1, 32},   {1, 1, 1, 1, 32},  {2, 7, 2, 2, 16},   {1, 64, 2, 1, 64},
    {1, 65, 4, 2, 80}, {2, 128, 3, 1, 32}, {1, 200, 2, 2, 7}, {1, 130, 2, 1, 128}};

struct AttentionResult {
  Floats out, lse, d_qkv;
};

// In pieces that end at `cuts` and at the last token.
AttentionResult RunAttention(Kernels& kernels, const AttentionCase& c, const Floats& qkv,
                             const Floats& d_out, std::vector<int64_t> cuts = {}) {
  AttentionResult result{Floats({c.sequences * c.length, c.heads * c.head_dim}, 99),
                         Floats({c.sequences, c.heads, c.length}), Floats(qkv.shape(), 99)};
  cuts.insert(cuts.begin(), 0);
  cuts.push_back(c.sequences * c.length);
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    kernels.AttentionForward({qkv.view(), c.sequences, c.length, c.heads, c.kv_heads, c.head_dim,
                              result.out.view(), result.lse.view(), cuts[i], cuts[i + 1]});
  }
  for (size_t i = cuts.size() - 1; i > 0; --i) {
    kernels.AttentionBackward({qkv.view(), result.out.view(), result.lse.view(), d_out.view(),
                               c.sequences, c.length, c.heads, c.kv_heads, c.head_dim,
                               result.d_qkv.view(), cuts[i - 1], cuts[i]});
  }
  return result;
}

Floats RandomQkv(const AttentionCase& c, float scale) {
  return Floats::Normal({c.sequences * c.length, (c.heads + 2 * c.kv_heads) * c.head_dim}, 1,
                        scale);
}

Floats RandomOut(const AttentionCase& c) {
  return Floats::Normal({c.sequences * c.length, c.heads * c.head_dim}, 2);
}

class KernelsAttentionTest : public FastKernelsTest {};

TEST_P(KernelsAttentionTest, EqualsTheReference) {
  for (const AttentionCase& c : kCases) {
    for (const float scale : {1.0f, 4.0f}) {  // 4: nearly one-hot rows
      SCOPED_TRACE(absl::StrCat(c.sequences, " x ", c.length, ", heads ", c.heads, "/", c.kv_heads,
                                ", head_dim ", c.head_dim, ", scale ", scale));
      const Floats qkv = RandomQkv(c, scale), d_out = RandomOut(c);
      const AttentionResult expected = RunAttention(*reference_, c, qkv, d_out);
      const AttentionResult actual = RunAttention(*fast_, c, qkv, d_out);
      // An error of a score is an error of its exponential: both grow with the scores, the square
      // of the scale.
      EXPECT_TRUE(Near(actual.out, expected.out, 5e-6 * scale * scale));
      EXPECT_TRUE(Near(actual.lse, expected.lse, 1e-5));
      // Where the two outputs are rounded apart, keys and queries multiply what follows.
      EXPECT_TRUE(
          Near(actual.d_qkv, expected.d_qkv, bf16() ? 0.016 * scale : 3e-5 * scale * scale));
    }
  }
}

// Pieces inside sequences, across them, and empty ones; where sequences come whole, those of them
// that do.
TEST_P(KernelsAttentionTest, PiecesGiveTheBitsOfTheWhole) {
  struct Pieces {
    AttentionCase c;
    std::vector<int64_t> cuts;
  };
  for (const auto& [c, cuts] : std::vector<Pieces>{{{1, 256, 2, 2, 32}, {64, 128, 192}},
                                                   {{2, 192, 4, 2, 16}, {64, 256}},
                                                   {{3, 128, 4, 1, 32}, {64, 64, 320}},
                                                   {{2, 130, 4, 2, 8}, {64, 128, 130, 258}},
                                                   {{4, 12, 2, 1, 16}, {12, 36}},
                                                   {{5, 128, 4, 2, 32}, {128, 128, 512}}}) {
    SCOPED_TRACE(absl::StrCat(c.sequences, " x ", c.length));
    const auto inside = [length = c.length](int64_t cut) { return cut % length != 0; };
    if (GetParam().attention_in_whole_sequences && std::any_of(cuts.begin(), cuts.end(), inside))
      continue;
    const Floats qkv = RandomQkv(c, 1), d_out = RandomOut(c);
    const AttentionResult whole = RunAttention(*fast_, c, qkv, d_out);
    const AttentionResult pieces = RunAttention(*fast_, c, qkv, d_out, cuts);
    EXPECT_TRUE(SameBits(pieces.out, whole.out));
    EXPECT_TRUE(SameBits(pieces.lse, whole.lse));
    EXPECT_TRUE(SameBits(pieces.d_qkv, whole.d_qkv));
    const AttentionResult expected = RunAttention(*reference_, c, qkv, d_out);
    const AttentionResult actual = RunAttention(*reference_, c, qkv, d_out, cuts);
    EXPECT_TRUE(SameBits(actual.out, expected.out));
    EXPECT_TRUE(Near(actual.d_qkv, expected.d_qkv, 1e-6));
  }
}

TEST_P(KernelsAttentionTest, SequencesDoNotTouchEachOther) {
  const AttentionCase two{2, 70, 4, 2, 32}, one{1, 70, 4, 2, 32};
  const Floats qkv = RandomQkv(two, 1), d_out = RandomOut(two);
  const AttentionResult both = RunAttention(*fast_, two, qkv, d_out);
  for (int64_t s = 0; s < 2; ++s) {
    const auto half = [s](const Floats& whole, const Shape& shape) {
      Floats part(shape);
      const int64_t n = shape.elements();
      std::copy_n(whole.values().begin() + s * n, n, part.values().begin());
      return part;
    };
    const AttentionResult alone =
        RunAttention(*fast_, one, half(qkv, {70, 8 * 32}), half(d_out, {70, 4 * 32}));
    EXPECT_TRUE(SameBits(half(both.out, alone.out.shape()), alone.out));
    EXPECT_TRUE(SameBits(half(both.lse, alone.lse.shape()), alone.lse));
    EXPECT_TRUE(SameBits(half(both.d_qkv, alone.d_qkv.shape()), alone.d_qkv));
  }
}

TEST_P(KernelsAttentionTest, TheFutureIsInvisible) {
  const AttentionCase c{1, 100, 2, 1, 32};
  Floats qkv = RandomQkv(c, 1);
  const Floats d_out = RandomOut(c);
  for (Kernels* kernels : {reference_.get(), fast_.get()}) {
    const AttentionResult before = RunAttention(*kernels, c, qkv, d_out);
    Floats changed = qkv;
    for (int64_t i = 60 * 4 * 32; i < qkv.shape().elements(); ++i) changed[i] += 1;
    const AttentionResult after = RunAttention(*kernels, c, changed, d_out);
    int64_t later_changes = 0;
    for (int64_t i = 0; i < after.out.shape().elements(); ++i) {
      if (i < 60 * 2 * 32) {
        EXPECT_EQ(after.out[i], before.out[i]);
      } else {
        later_changes += after.out[i] != before.out[i];
      }
    }
    EXPECT_GT(later_changes, 0);
  }
}

// Scratch memory left by a longer call must not show in a shorter one.
TEST_P(KernelsAttentionTest, ACallLeavesNothingBehind) {
  const AttentionCase small{1, 33, 2, 1, 32}, large{1, 190, 2, 2, 64};
  const Floats qkv = RandomQkv(small, 1), d_out = RandomOut(small);
  const AttentionResult fresh = RunAttention(*Make(), small, qkv, d_out);
  RunAttention(*fast_, large, RandomQkv(large, 1), RandomOut(large));
  const AttentionResult after = RunAttention(*fast_, small, qkv, d_out);
  EXPECT_TRUE(SameBits(after.out, fresh.out));
  EXPECT_TRUE(SameBits(after.lse, fresh.lse));
  EXPECT_TRUE(SameBits(after.d_qkv, fresh.d_qkv));
}

INSTANTIATE_TEST_SUITE_P(Fast, KernelsAttentionTest, ::testing::ValuesIn(Implementations()),
                         NameOf);

}  // namespace
}  // namespace weft
