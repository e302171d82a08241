#include "tensor/kernels/cpu/gemm.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace weft {
namespace {

constexpr int64_t kTileRows = 64;  // the product that defines the bits
constexpr int64_t kMost = 1024;    // rows of one product: preparing b costs a hundredth then
constexpr int64_t kMostElements = 1 << 24;  // of c in one product of more than 256 rows

int64_t RoundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// Up to 256, in steps that add little: 1, 2, 4, 8, then multiples of 8 and of 16.
int64_t RoundUpSmall(int64_t value) {
  if (value <= 8) return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(value)));
  return RoundUp(value, value <= 128 ? 8 : 16);
}

// The row count of the product for the next rows of `left`: at most 39 different ones. Few rows are
// padded upwards, as a second product would prepare all of b again for the rest; many are cut
// downwards.
int64_t PreferredRows(int64_t left, int64_t n) {
  if (left <= 256) return RoundUpSmall(left);
  const int64_t most = std::clamp<int64_t>(kMostElements / n, 256, kMost);
  return std::min(left, most) / kTileRows * kTileRows;
}

// The same for the inner dimension of gradients of weights: at most 51. Always upwards, as a second
// product would read and write all of c again.
int64_t PreferredDepth(int64_t left) {
  if (left <= 256) return RoundUpSmall(left);
  return left >= kMost ? kMost : RoundUp(left, 32);
}

// Enough of b differs from zero to tell orders of summation apart.
bool Telling(const float* b, int64_t elements) {
  constexpr int64_t kSamples = 256;
  const int64_t step = std::max<int64_t>(1, elements / kSamples);
  int64_t seen = 0, nonzero = 0;
  for (int64_t i = 0; i < elements; i += step, ++seen) nonzero += b[i] != 0.0f;
  return 2 * nonzero > seen;
}

// `rows` equal rows of irregular numbers in [-1, 1), fixed by the seed.
void FillEqualRows(int64_t rows, int64_t width, uint32_t seed, float* out) {
  uint32_t state = seed;
  for (int64_t i = 0; i < width; ++i) {
    state = state * 1664525u + 1013904223u;
    out[i] = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  for (int64_t row = 1; row < rows; ++row) std::copy_n(out, width, out + row * width);
}

}  // namespace

// Equal rows must give equal rows, in both products. One element can agree by chance (a sum of two
// has few orders), so at least kElements of a row are compared, with new numbers when n is less.
bool Gemm::SameBits(const ProductKey& key, const float* b) {
  constexpr int64_t kElements = 64;
  const auto known = verdicts_.find(key);
  if (known != verdicts_.end()) return known->second;
  if (!Telling(b, key.k * key.n)) return key.m == kTileRows;
  ProductKey tile_key = key;
  tile_key.m = kTileRows;
  Product& tile_product = products_.Get(tile_key);
  Product& product = products_.Get(key);
  const int64_t rows = std::max(key.m, kTileRows);
  std::vector<float> a(static_cast<size_t>(rows * key.k));
  std::vector<float> tile(static_cast<size_t>(kTileRows * key.n));
  std::vector<float> c(static_cast<size_t>(key.m * key.n));
  bool same = true;
  for (int64_t compared = 0; same && compared < kElements; compared += key.n) {
    const uint32_t seed = static_cast<uint32_t>(2 * compared + 1);
    FillEqualRows(rows, key.k, seed, a.data());
    FillEqualRows(kTileRows, key.n, seed + 1, tile.data());
    FillEqualRows(key.m, key.n, seed + 1, c.data());
    products_.Run(tile_product, a.data(), b, tile.data());
    products_.Run(product, a.data(), b, c.data());
    for (int64_t row = 0; row < key.m; ++row) {
      same = same && std::memcmp(c.data() + row * key.n, tile.data(),
                                 static_cast<size_t>(key.n) * sizeof(float)) == 0;
    }
  }
  WEFT_CHECK(same || key.m != kTileRows,
             "on this processor a row of oneDNN's product depends on its place among 64 rows: "
             "training would depend on the plan");
  verdicts_.emplace(key, same);
  return same;
}

// Should the preferred product be refused, a large or a small one may still have the bits of the
// tile.
Gemm::Choice Gemm::ChooseRows(int64_t left, ProductKey key, const float* b) {
  const int64_t second = left >= 256 ? 256 : left <= 16 ? 16 : kTileRows;
  for (const int64_t rows : {PreferredRows(left, key.n), second, kTileRows}) {
    key.m = rows;
    if (SameBits(key, b)) return {&products_.Get(key), rows};
  }
  CheckFailed(__FILE__, __LINE__, "SameBits(64 rows)", "the tile that defines the bits is refused");
}

void Gemm::RunPadded(Product& product, const ProductKey& key, int64_t rows, const float* a,
                     const float* b, float* c) {
  // What stands in the rows beyond `rows` is finite or not, but reaches no other row.
  float* padded_a = padded_a_.Ensure<float>({key.m, key.k}).as<float>();
  float* padded_c = padded_c_.Ensure<float>({key.m, key.n}).as<float>();
  std::copy_n(a, rows * key.k, padded_a);
  if (key.accumulate) std::copy_n(c, rows * key.n, padded_c);
  products_.Run(product, padded_a, b, padded_c);
  std::copy_n(padded_c, rows * key.n, c);
}

void Gemm::RunRows(int64_t m, int64_t k, int64_t n, bool transpose_b, bool accumulate,
                   const float* a, const float* b, float* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (!accumulate) std::fill_n(c, m * n, 0.0f);
    return;
  }
  ProductKey key{0, k, n, false, transpose_b, accumulate};
  for (int64_t row = 0; row < m;) {
    const Choice choice = ChooseRows(m - row, key, b);
    key.m = choice.rows;
    const int64_t rows = std::min(choice.rows, m - row);
    if (rows == choice.rows) {
      products_.Run(*choice.product, a + row * k, b, c + row * n);
    } else {
      RunPadded(*choice.product, key, rows, a + row * k, b, c + row * n);
    }
    row += rows;
  }
}

void Gemm::RunColumns(int64_t m, int64_t k, int64_t n, bool transpose_b, bool accumulate,
                      const float* a, const float* b, float* c) {
  if (m == 0 || n == 0) return;
  if (k == 0) {
    if (!accumulate) std::fill_n(c, m * n, 0.0f);
    return;
  }
  std::vector<float> straight_b;
  if (transpose_b) {  // no model asks for it; a plain copy keeps the blocks of k below plain as
                      // well
    straight_b.resize(static_cast<size_t>(k * n));
    for (int64_t p = 0; p < k; ++p) {
      for (int64_t j = 0; j < n; ++j) straight_b[static_cast<size_t>(p * n + j)] = b[j * k + p];
    }
    b = straight_b.data();
  }
  for (int64_t begin = 0; begin < k;) {
    const int64_t left = k - begin;
    const int64_t block = PreferredDepth(left);
    const int64_t rows = std::min(block, left);
    const float* block_a = a + begin * m;
    const float* block_b = b + begin * n;
    if (rows < block) {  // rows of zeros add nothing
      float* padded_a = padded_a_.Ensure<float>({block, m}).as<float>();
      float* padded_b = padded_b_.Ensure<float>({block, n}).as<float>();
      std::fill(std::copy_n(block_a, rows * m, padded_a), padded_a + block * m, 0.0f);
      std::fill(std::copy_n(block_b, rows * n, padded_b), padded_b + block * n, 0.0f);
      block_a = padded_a;
      block_b = padded_b;
    }
    Product& product = products_.Get({m, block, n, true, false, accumulate || begin > 0});
    products_.Run(product, block_a, block_b, c);
    begin += rows;
  }
}

}  // namespace weft
