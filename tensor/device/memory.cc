#include "tensor/device/memory.h"

#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace weft {
namespace {

class Host final : public Memory {
 public:
  void* Allocate(int64_t bytes) override {
    const int64_t rounded = (bytes + 63) / 64 * 64;
    void* const data = std::aligned_alloc(64, static_cast<size_t>(rounded));
    WEFT_CHECK(data != nullptr, "out of host memory");
    std::memset(data, 0, static_cast<size_t>(rounded));
    return data;
  }
  void Free(void* data) override { std::free(data); }
  bool Holds(const void* /*data*/) const override { return true; }

 private:
  void CopyBytes(const void* from, void* to, int64_t bytes) override {
    std::memcpy(to, from, static_cast<size_t>(bytes));
  }
  void ZeroBytes(void* to, int64_t bytes) override {
    std::memset(to, 0, static_cast<size_t>(bytes));
  }
  void BytesFromHost(const void* host, void* to, int64_t bytes) override {
    CopyBytes(host, to, bytes);
  }
  void BytesToHost(const void* from, void* host, int64_t bytes) override {
    CopyBytes(from, host, bytes);
  }
};

void CheckSizes(const ConstTensorView& from, const ConstTensorView& to) {
  WEFT_CHECK(from.bytes() == to.bytes(), "what is copied fits where it goes");
}

}  // namespace

void Memory::Copy(const ConstTensorView& from, const TensorView& to) {
  CheckSizes(from, to);
  if (from.bytes() > 0) CopyBytes(from.data, to.data, from.bytes());
}

void Memory::Zero(const TensorView& to) {
  if (to.bytes() > 0) ZeroBytes(to.data, to.bytes());
}

void Memory::FromHost(const ConstTensorView& host, const TensorView& to) {
  CheckSizes(host, to);
  if (host.bytes() > 0) BytesFromHost(host.data, to.data, host.bytes());
}

void Memory::ToHost(const ConstTensorView& from, const TensorView& host) {
  CheckSizes(from, host);
  if (from.bytes() > 0) BytesToHost(from.data, host.data, from.bytes());
}

Memory& HostMemory() {
  static Host host;
  return host;
}

}  // namespace weft
