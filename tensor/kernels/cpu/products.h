#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>

#include "tensor/device/buffer.h"

// oneDNN's matrix products of fixed shape, compiled at first use and kept. oneDNN generates code
// for every shape (some tenths of a millisecond), so whoever calls with sizes that change every
// step must round them to a bounded set first: gemm.h does. This is the only file that knows
// oneDNN.

namespace weft {

// c [m, n] = op(a) [m, k] * op(b) [k, n] (+ c), dense, row-major.
struct ProductKey {
  int64_t m = 0, k = 0, n = 0;
  bool transpose_a = false, transpose_b = false, accumulate = false;

  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 sees a 0 in the generated comparison
  friend auto operator<=>(const ProductKey&, const ProductKey&) = default;
};

class Product;  // one compiled shape

class Products {
 public:
  Products();
  ~Products();
  Products(const Products&) = delete;
  Products& operator=(const Products&) = delete;

  // The product of this shape, made at the first call. Valid as long as *this.
  // REQUIRES: m, k, n > 0.
  Product& Get(const ProductKey& key);

  // Runs on the calling thread alone. REQUIRES: `product` is of this object; c does not overlap a
  // or b.
  void Run(Product& product, const float* a, const float* b, float* c);

 private:
  struct Device;
  std::unique_ptr<Device> device_;
  std::map<ProductKey, std::unique_ptr<Product>> made_;
  Buffer scratchpad_;  // shared by all products: one runs at a time
};

}  // namespace weft
