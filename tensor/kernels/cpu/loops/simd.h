#pragma once

// The vectors of one instruction set. Every loop file is compiled once per instruction set (see
// CMakeLists.txt) with its own WEFT_ISA, which names the namespace; loops.h chooses among them at
// run time. Because the compiler may use that instruction set for anything it emits, a loop file
// includes nothing with shared inline functions: no views, no checks, no standard containers;
// everything here is local to the file.
//
// Row invariance: the same arithmetic runs on full and on partial vectors, contraction is off
// (-ffp-contract=off) and fused operations are written as Fma, sums of lanes fold in one fixed
// order. So a value depends on its row alone.

#include <cstdint>

#if defined(__GNUC__) && !defined(__clang__)
// g++ 12 takes the deliberately undefined operands inside its own header for mistakes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#ifndef WEFT_ISA
#error "compile the loop files with -DWEFT_ISA=<namespace>"
#endif

namespace weft::WEFT_ISA {
namespace {  // NOLINT(google-build-namespaces): one copy per instruction set, by design

#if defined(__AVX512F__)
using Vec = __m512;
using IntVec = __m512i;
constexpr int64_t kLanes = 16;
inline Vec Set(float x) { return _mm512_set1_ps(x); }
inline Vec Fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec Sqrt(Vec x) { return _mm512_sqrt_ps(x); }
// a > b ? a : b; b when either is NaN.
inline Vec Max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec Min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec ZeroWhereLess(Vec value, Vec a, Vec b) {  // a < b ? 0 : value
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_NLT_UQ), value);
}
inline IntVec RoundToInt(Vec x) { return _mm512_cvtps_epi32(x); }
inline Vec ToFloat(IntVec x) { return _mm512_cvtepi32_ps(x); }
inline Vec PowerOfTwo(IntVec n) {  // 2^n for n in [-126, 127]
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
}
inline Vec Load(const float* p) { return _mm512_loadu_ps(p); }
inline void Store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline __mmask16 First(int64_t count) { return static_cast<__mmask16>((1u << count) - 1u); }
inline Vec LoadPart(const float* p, int64_t count, float fill) {
  return _mm512_mask_loadu_ps(Set(fill), First(count), p);
}
inline void StorePart(float* p, Vec v, int64_t count) { _mm512_mask_storeu_ps(p, First(count), v); }
#elif defined(__AVX2__) && defined(__FMA__)
using Vec = __m256;
using IntVec = __m256i;
constexpr int64_t kLanes = 8;
inline Vec Set(float x) { return _mm256_set1_ps(x); }
inline Vec Fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
inline Vec Sqrt(Vec x) { return _mm256_sqrt_ps(x); }
inline Vec Max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec Min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec ZeroWhereLess(Vec value, Vec a, Vec b) {
  return _mm256_and_ps(_mm256_cmp_ps(a, b, _CMP_NLT_UQ), value);
}
inline IntVec RoundToInt(Vec x) { return _mm256_cvtps_epi32(x); }
inline Vec ToFloat(IntVec x) { return _mm256_cvtepi32_ps(x); }
inline Vec PowerOfTwo(IntVec n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
inline Vec Load(const float* p) { return _mm256_loadu_ps(p); }
inline void Store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
#else
using Vec = __m128;
using IntVec = __m128i;
constexpr int64_t kLanes = 4;
inline Vec Set(float x) { return _mm_set1_ps(x); }
inline Vec Fma(Vec a, Vec b, Vec c) { return _mm_add_ps(_mm_mul_ps(a, b), c); }  // two roundings
inline Vec Sqrt(Vec x) { return _mm_sqrt_ps(x); }
inline Vec Max(Vec a, Vec b) { return _mm_max_ps(a, b); }
inline Vec Min(Vec a, Vec b) { return _mm_min_ps(a, b); }
inline Vec ZeroWhereLess(Vec value, Vec a, Vec b) { return _mm_and_ps(_mm_cmpnlt_ps(a, b), value); }
inline IntVec RoundToInt(Vec x) { return _mm_cvtps_epi32(x); }
inline Vec ToFloat(IntVec x) { return _mm_cvtepi32_ps(x); }
inline Vec PowerOfTwo(IntVec n) {
  return _mm_castsi128_ps(_mm_slli_epi32(_mm_add_epi32(n, _mm_set1_epi32(127)), 23));
}
inline Vec Load(const float* p) { return _mm_loadu_ps(p); }
inline void Store(float* p, Vec v) { _mm_storeu_ps(p, v); }
#endif

#if !defined(__AVX512F__)
inline Vec LoadPart(const float* p, int64_t count, float fill) {
  float lanes[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) lanes[i] = i < count ? p[i] : fill;
  return Load(lanes);
}
inline void StorePart(float* p, Vec v, int64_t count) {
  float lanes[kLanes];
  Store(lanes, v);
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}
#endif

// How a step of ForEach reads and writes: whole vectors, or, in the last step, the first `count`
// lanes; the others read `fill` and are not written.
struct Whole {
  Vec Read(const float* p, float = 0) const { return Load(p); }
  void Write(float* p, Vec v) const { Store(p, v); }
};
struct Part {
  int64_t count;
  Vec Read(const float* p, float fill = 0) const { return LoadPart(p, count, fill); }
  void Write(float* p, Vec v) const { StorePart(p, v, count); }
};

// step(i, lanes) for i = 0, kLanes, 2 kLanes, ... below n.
template <typename Step>
inline __attribute__((always_inline)) void ForEach(int64_t n, Step step) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) step(i, Whole{});
  if (i < n) step(i, Part{n - i});
}

// Lanes folded pairwise: lane i with lane i + width / 2, and so on.
inline float SumOfLanes(Vec v) {
  float lanes[kLanes];
  Store(lanes, v);
  for (int64_t width = kLanes / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}
inline float MaxOfLanes(Vec v) {
  float lanes[kLanes];
  Store(lanes, v);
  float largest = lanes[0];
  for (int64_t i = 1; i < kLanes; ++i) largest = lanes[i] > largest ? lanes[i] : largest;
  return largest;
}

// e^x to 1e-7 relative; 0 below the smallest normal result, the largest finite power above it; NaN
// stays NaN. x = n ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series to r^7, whose remainder
// is below 6e-9.
inline Vec Exp(Vec x) {
  const Vec lowest = Set(-87.33654f), highest = Set(88.02969f);
  const Vec bounded = Max(lowest, Min(highest, x));  // in this order NaN passes through
  const IntVec n = RoundToInt(bounded * Set(1.44269504f));
  const Vec whole = ToFloat(n);
  const Vec r = Fma(whole, Set(2.12194440e-4f), Fma(whole, Set(-0.693359375f), bounded));
  Vec series = Set(1.0f / 5040);
  series = Fma(series, r, Set(1.0f / 720));
  series = Fma(series, r, Set(1.0f / 120));
  series = Fma(series, r, Set(1.0f / 24));
  series = Fma(series, r, Set(1.0f / 6));
  series = Fma(series, r, Set(0.5f));
  series = Fma(series, r, Set(1.0f));
  series = Fma(series, r, Set(1.0f));
  return ZeroWhereLess(series * PowerOfTwo(n), x, lowest);
}

inline Vec Sigmoid(Vec x) { return Set(1.0f) / (Set(1.0f) + Exp(-x)); }

}  // namespace
}  // namespace weft::WEFT_ISA
