#pragma once

#include <map>
#include <mutex>
#include <string_view>
#include <vector>

#include "comm/backend.h"
#include "tensor/device/memory.h"
#include "tensor/kernels/decorated_kernels.h"

namespace weft {

// Host memory that behaves like a device's: whoever touches it elsewhere than in its own copies, in
// kernels and in communicators dies of it. What runs on it would run on a device. Room for a
// gigabyte.
class GuardedMemory final : public Memory {
 public:
  GuardedMemory();
  ~GuardedMemory() override;
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  void* Allocate(int64_t bytes) override;
  void Free(void* data) override;
  bool Holds(const void* data) const override;

  // While one lives, all of the memory can be touched, by every thread.
  class Access {
   public:
    explicit Access(GuardedMemory& memory) : memory_(memory) { memory_.Count(1); }
    ~Access() { memory_.Count(-1); }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

   private:
    GuardedMemory& memory_;
  };

 private:
  void CopyBytes(const void* from, void* to, int64_t bytes) override;
  void ZeroBytes(void* to, int64_t bytes) override;
  void BytesFromHost(const void* host, void* to, int64_t bytes) override;
  void BytesToHost(const void* from, void* host, int64_t bytes) override;
  void* Take(int64_t bytes);
  void Count(int change);
  void Protect();

  std::mutex mutex_;
  char* const begin_;
  int64_t used_ = 0;
  int accesses_ = 0;
  std::map<void*, int64_t> pages_;              // of what is in use
  std::map<int64_t, std::vector<void*>> free_;  // by pages
};

// Kernels of the host that work in such a memory.
class GuardedKernels final : public DecoratedKernels {
 public:
  GuardedKernels(Kernels& inner, GuardedMemory& memory)
      : DecoratedKernels(inner), memory_(memory) {}
  Memory& memory() override { return memory_; }

 private:
  void Around(std::string_view /*name*/, absl::FunctionRef<void()> call) override {
    const GuardedMemory::Access access(memory_);
    call();
  }

  GuardedMemory& memory_;
};

// A backend whose collectives may touch such a memory, and host memory as before.
class GuardedBackend final : public Backend {
 public:
  GuardedBackend(Backend& inner, GuardedMemory& memory) : inner_(inner), memory_(memory) {}

  int rank() const override { return inner_.rank(); }
  int world_size() const override { return inner_.world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override;
  void Abort(const absl::Status& cause) override { inner_.Abort(cause); }

 private:
  Backend& inner_;
  GuardedMemory& memory_;
};

}  // namespace weft
