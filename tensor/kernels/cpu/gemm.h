#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "tensor/device/buffer.h"
#include "tensor/kernels/cpu/products.h"

// Matrix products of any size from a bounded set of compiled ones, with row-invariant bits.
//
// The bits of a row are defined by the product of 64 rows: on every instruction set oneDNN 2.6 has,
// a row of it does not depend on the row's place or neighbours (checked at first use). Other row
// counts are faster, and on AVX-512 give the same bits; on AVX2 they do not. So each is compared
// with the 64-row product before its first use and refused when one bit differs.
// docs/decisions/0001-row-invariant-gemm.md has the measurements.

namespace weft {

class Gemm {
 public:
  // REQUIRES: `products` outlives *this.
  explicit Gemm(Products& products) : products_(products) {}

  // c [m, n] = a [m, k] * op(b) (+ c). Row-invariant.
  void RunRows(int64_t m, int64_t k, int64_t n, bool transpose_b, bool accumulate, const float* a,
               const float* b, float* c);

  // c [m, n] = transpose(a [k, m]) * op(b) (+ c). The same bits for the same arguments; k in
  // blocks, so that it may change at every call.
  void RunColumns(int64_t m, int64_t k, int64_t n, bool transpose_b, bool accumulate,
                  const float* a, const float* b, float* c);

 private:
  // A row-invariant product of some row count; `padded` tells that it computes more rows than were
  // asked for.
  struct Choice {
    Product* product = nullptr;
    int64_t rows = 0;
  };
  Choice ChooseRows(int64_t left, ProductKey key, const float* b);
  bool SameBits(const ProductKey& key, const float* b);
  void RunPadded(Product& product, const ProductKey& key, int64_t rows, const float* a,
                 const float* b, float* c);

  Products& products_;
  std::map<ProductKey, bool> verdicts_;  // whether the product has the bits of the 64-row one
  Buffer padded_a_, padded_b_, padded_c_;
};

}  // namespace weft
