#pragma once

#include <deque>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tensor/device/stream.h"

namespace weft {

// A thread with a queue. Waits are on conditions; nothing polls.
class CpuStream final : public Stream {
 public:
  // kYielding: the stream's thread gives way to threads that wake up (it runs at a lower nice
  // level). For products where cores are fewer than threads: a thread that moves messages needs
  // microseconds now and then, and would otherwise wait milliseconds for a product to end.
  enum class Priority { kNormal, kYielding };

  // `name` (at most 15 characters) shows in debuggers and `top -H`.
  // `processors`: that the thread keeps to, when the kernel lets it; empty: those of the creator.
  explicit CpuStream(const std::string& name, Priority priority = Priority::kNormal,
                     std::vector<int32_t> processors = {});
  ~CpuStream() override;  // runs what is queued, then joins

  absl::Status Enqueue(Work work) override;
  absl::StatusOr<std::shared_ptr<Event>> Record() override;
  absl::Status Wait(std::shared_ptr<Event> event) override;
  absl::Status Synchronize() override;
  void Stamp(const Clock& clock, int64_t* nanos) override { *nanos = clock.NowNanos(); }

 private:
  void Run(Priority priority, std::span<const int32_t> processors);

  absl::Mutex mutex_;
  absl::CondVar changed_;
  // A Work with `always` set runs even when the stream is poisoned: events must fire, or other
  // streams hang.
  struct Item {
    Work work;
    bool always = false;
  };
  std::deque<Item> queue_ ABSL_GUARDED_BY(mutex_);
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status first_error_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace weft
