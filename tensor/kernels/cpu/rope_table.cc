#include "tensor/kernels/cpu/rope_table.h"

#include <cmath>

namespace weft {

const RopeTable::Entry& RopeTable::Get(int64_t length, int64_t head_dim, float theta) {
  Entry& entry = entries_[{head_dim, theta}];
  if (entry.length >= length) return entry;
  const int64_t half = head_dim / 2;
  entry.length = length;
  entry.cosine.resize(static_cast<size_t>(length * half));
  entry.sine.resize(static_cast<size_t>(length * half));
  for (int64_t i = 0; i < half; ++i) {
    const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(head_dim);
    const double frequency = std::pow(static_cast<double>(theta), exponent);
    for (int64_t position = 0; position < length; ++position) {
      const double angle = static_cast<double>(position) * frequency;
      entry.cosine[static_cast<size_t>(position * half + i)] = static_cast<float>(std::cos(angle));
      entry.sine[static_cast<size_t>(position * half + i)] = static_cast<float>(std::sin(angle));
    }
  }
  return entry;
}

}  // namespace weft
