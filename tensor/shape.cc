#include "tensor/shape.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace weft {

Shape::Shape(std::initializer_list<int64_t> dims) {
  WEFT_CHECK(dims.size() <= kMaxRank, "a Shape has at most four dimensions");
  for (const int64_t dim : dims) {
    WEFT_CHECK(dim >= 0, "a dimension is never negative");
    dims_[static_cast<size_t>(rank_++)] = dim;
  }
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= (*this)[i];
  return product;
}

std::string Shape::ToString() const {
  std::string out = "[";
  for (int i = 0; i < rank_; ++i) absl::StrAppend(&out, i == 0 ? "" : ", ", (*this)[i]);
  return out + "]";
}

}  // namespace weft
