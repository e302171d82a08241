#include "tensor/device/buffer.h"

#include <algorithm>
#include <atomic>

namespace weft {
namespace {

std::atomic<int64_t>& Growths() {
  static std::atomic<int64_t> count{0};
  return count;
}

}  // namespace

bool Buffer::Reserve(int64_t bytes) {
  if (bytes <= capacity_) return false;
  // Half as much again: loads that creep upwards settle after a few steps.
  const int64_t wanted = capacity_ == 0 ? bytes : std::max(bytes, capacity_ + capacity_ / 2);
  const int64_t rounded = (wanted + 63) / 64 * 64;
  data_.reset();
  data_.reset(data_.get_deleter().memory->Allocate(rounded));
  capacity_ = rounded;
  Growths().fetch_add(1, std::memory_order_relaxed);
  return true;
}

int64_t Buffer::GrowthCount() { return Growths().load(std::memory_order_relaxed); }

}  // namespace weft
