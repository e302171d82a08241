#include "runtime/data/permutation.h"

#include <utility>

#include "base/check.h"
#include "base/fingerprint.h"

namespace weft {
namespace {

constexpr uint64_t kRounds = 6;

}  // namespace

Permutation::Permutation(uint64_t key, int64_t size) : key_(key), size_(size), half_bits_(1) {
  WEFT_CHECK(size >= 1 && size < int64_t{1} << 62, "size of a permutation");
  while ((int64_t{1} << (2 * half_bits_)) < size) ++half_bits_;
}

int64_t Permutation::At(int64_t position) const {
  WEFT_CHECK(position >= 0 && position < size_, "position within the permutation");
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  auto value = static_cast<uint64_t>(position);
  do {  // at most four times on average: the domain is less than four times the size
    uint64_t left = value >> half_bits_;
    uint64_t right = value & mask;
    for (uint64_t round = 0; round < kRounds; ++round) {
      const uint64_t mixed = CombineFingerprints(CombineFingerprints(key_, round), right);
      left = std::exchange(right, left ^ (mixed & mask));
    }
    value = (left << half_bits_) | right;
  } while (value >= static_cast<uint64_t>(size_));
  return static_cast<int64_t>(value);
}

}  // namespace weft
