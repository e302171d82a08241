#include "tests/support/guarded_memory.h"

#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/status_macros.h"

namespace weft {
namespace {

constexpr int64_t kRoom = int64_t{1} << 30;
constexpr int64_t kPage = 4096;

char* Reserve() {
  void* const data =
      mmap(nullptr, kRoom, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  WEFT_CHECK(data != MAP_FAILED, "room for guarded memory");
  return static_cast<char*>(data);
}

class GuardedCommunicator final : public Communicator {
 public:
  GuardedCommunicator(std::unique_ptr<Communicator> inner, GuardedMemory& memory)
      : inner_(std::move(inner)), memory_(memory) {}

  int rank() const override { return inner_->rank(); }
  int size() const override { return inner_->size(); }
  CommunicatorTraits traits() const override { return inner_->traits(); }
  absl::Status AllReduce(TensorView data, ReduceOp op) override {
    const GuardedMemory::Access access(memory_);
    return inner_->AllReduce(data, op);
  }
  absl::Status AllGather(ConstTensorView send, TensorView recv) override {
    const GuardedMemory::Access access(memory_);
    return inner_->AllGather(send, recv);
  }
  absl::Status AllGatherV(const AllGatherVArgs& args) override {
    const GuardedMemory::Access access(memory_);
    return inner_->AllGatherV(args);
  }
  absl::Status ReduceScatterV(const ReduceScatterVArgs& args) override {
    const GuardedMemory::Access access(memory_);
    return inner_->ReduceScatterV(args);
  }
  absl::Status AllToAllV(const AllToAllVArgs& args) override {
    const GuardedMemory::Access access(memory_);
    return inner_->AllToAllV(args);
  }
  absl::Status Broadcast(TensorView data, int root) override {
    const GuardedMemory::Access access(memory_);
    return inner_->Broadcast(data, root);
  }
  absl::Status Barrier() override { return inner_->Barrier(); }
  absl::Status Health() const override { return inner_->Health(); }
  void Abort(const absl::Status& cause) override { inner_->Abort(cause); }

 private:
  const std::unique_ptr<Communicator> inner_;
  GuardedMemory& memory_;
};

}  // namespace

GuardedMemory::GuardedMemory() : begin_(Reserve()) {}

GuardedMemory::~GuardedMemory() { munmap(begin_, kRoom); }

void* GuardedMemory::Allocate(int64_t bytes) {
  void* const data = Take(bytes);
  ZeroBytes(data, bytes);
  return data;
}

void* GuardedMemory::Take(int64_t bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  // Few sizes: what is freed fits what comes.
  int64_t pages = 1;
  while (pages * kPage < bytes) pages *= 2;
  std::vector<void*>& free = free_[pages];
  if (!free.empty()) {
    void* const data = free.back();
    free.pop_back();
    pages_[data] = pages;
    return data;
  }
  char* const data = begin_ + used_;
  used_ += pages * kPage;
  WEFT_CHECK(used_ <= kRoom, "room in guarded memory");
  Protect();
  pages_[data] = pages;
  return data;
}

void GuardedMemory::Free(void* data) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto at = pages_.find(data);
  if (at == pages_.end()) return;
  free_[at->second].push_back(data);
  pages_.erase(at);
}

bool GuardedMemory::Holds(const void* data) const {
  return data >= begin_ && data < begin_ + kRoom;
}

void GuardedMemory::Count(int change) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool was_open = accesses_ > 0;
  accesses_ += change;
  if (was_open != (accesses_ > 0)) Protect();
}

void GuardedMemory::Protect() {
  if (used_ == 0) return;
  const int protection = accesses_ > 0 ? PROT_READ | PROT_WRITE : PROT_NONE;
  WEFT_CHECK(mprotect(begin_, static_cast<size_t>(used_), protection) == 0, "memory is guarded");
}

void GuardedMemory::CopyBytes(const void* from, void* to, int64_t bytes) {
  const Access access(*this);
  std::memcpy(to, from, static_cast<size_t>(bytes));
}

void GuardedMemory::ZeroBytes(void* to, int64_t bytes) {
  const Access access(*this);
  std::memset(to, 0, static_cast<size_t>(bytes));
}

void GuardedMemory::BytesFromHost(const void* host, void* to, int64_t bytes) {
  CopyBytes(host, to, bytes);
}

void GuardedMemory::BytesToHost(const void* from, void* host, int64_t bytes) {
  CopyBytes(from, host, bytes);
}

absl::StatusOr<std::unique_ptr<Communicator>> GuardedBackend::Connect(
    const std::string& name, const std::vector<RankId>& ranks, absl::Duration deadline) {
  WEFT_ASSIGN_OR_RETURN(std::unique_ptr<Communicator> inner, inner_.Connect(name, ranks, deadline));
  return std::unique_ptr<Communicator>(
      std::make_unique<GuardedCommunicator>(std::move(inner), memory_));
}

}  // namespace weft
