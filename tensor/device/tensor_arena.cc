#include "tensor/device/tensor_arena.h"

namespace weft {
namespace {

constexpr int64_t kAlignment = 256;

}  // namespace

void TensorArena::Add(TensorView& view, DType dtype, const Shape& shape) {
  view = {nullptr, dtype, shape};
  places_.push_back({&view, bytes_});
  bytes_ += (view.bytes() + kAlignment - 1) / kAlignment * kAlignment;
}

void TensorArena::Make() {
  WEFT_CHECK(storage_.data() == nullptr, "an arena is made once");
  // Memories align to 64 bytes at least: room to begin at a multiple of more.
  storage_.Reserve(bytes_ + kAlignment);
  const auto address = reinterpret_cast<uintptr_t>(storage_.data());
  char* const begin =
      static_cast<char*>(storage_.data()) + (kAlignment - address % kAlignment) % kAlignment;
  for (const Place& place : places_) place.view->data = begin + place.begin;
  places_.clear();
}

}  // namespace weft
