#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace weft {

// Up to four dimensions, row-major. A dimension of 0 is ordinary: an expert without tokens has
// shape [0, hidden].
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int i) const { return dims_[static_cast<size_t>(i)]; }
  int64_t elements() const;      // 1 for rank 0
  std::string ToString() const;  // "[3, 128]"
  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace weft
