#include "tensor/device/cpu/cpu_stream.h"

#include <pthread.h>

#include <utility>

#include "base/thread_priority.h"
#include "base/thread_processors.h"

namespace weft {
namespace {

class CpuEvent final : public Event {
 public:
  bool Reached() const override {
    absl::MutexLock lock(&mutex_);
    return reached_;
  }
  void Fire() {
    absl::MutexLock lock(&mutex_);
    reached_ = true;
    fired_.SignalAll();
  }
  void Await() {
    absl::MutexLock lock(&mutex_);
    while (!reached_) fired_.Wait(&mutex_);
  }

 private:
  mutable absl::Mutex mutex_;
  absl::CondVar fired_;
  bool reached_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

CpuStream::CpuStream(const std::string& name, Priority priority, std::vector<int32_t> processors)
    : thread_([this, priority, own = std::move(processors)] { Run(priority, own); }) {
  pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
}

CpuStream::~CpuStream() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    changed_.SignalAll();
  }
  thread_.join();
}

absl::Status CpuStream::Enqueue(Work work) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back({std::move(work), false});
  changed_.SignalAll();
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<Event>> CpuStream::Record() {
  auto event = std::make_shared<CpuEvent>();
  absl::MutexLock lock(&mutex_);
  queue_.push_back({[event] {
                      event->Fire();
                      return absl::OkStatus();
                    },
                    true});
  changed_.SignalAll();
  return event;
}

absl::Status CpuStream::Wait(std::shared_ptr<Event> event) {
  auto cpu_event = std::dynamic_pointer_cast<CpuEvent>(event);
  if (cpu_event == nullptr) {
    return absl::InvalidArgumentError("a CPU stream can wait for events of CPU streams only");
  }
  absl::MutexLock lock(&mutex_);
  queue_.push_back({[cpu_event] {
                      cpu_event->Await();
                      return absl::OkStatus();
                    },
                    true});
  changed_.SignalAll();
  return absl::OkStatus();
}

absl::Status CpuStream::Synchronize() {
  absl::MutexLock lock(&mutex_);
  while (!queue_.empty() || busy_) changed_.Wait(&mutex_);
  return std::exchange(first_error_, absl::OkStatus());
}

void CpuStream::Run(Priority priority, std::span<const int32_t> processors) {
  if (!processors.empty()) SetOwnProcessors(processors);
  if (priority == Priority::kYielding) SetOwnNice(kComputeNice);
  absl::MutexLock lock(&mutex_);
  for (;;) {
    while (queue_.empty() && !closing_) changed_.Wait(&mutex_);
    if (queue_.empty()) return;
    Item item = std::move(queue_.front());
    queue_.pop_front();
    if (item.always || first_error_.ok()) {
      busy_ = true;
      mutex_.Unlock();
      absl::Status status = item.work();
      item.work = nullptr;  // captured state dies outside the lock
      mutex_.Lock();
      busy_ = false;
      if (first_error_.ok()) first_error_ = std::move(status);
    }
    if (queue_.empty()) changed_.SignalAll();
  }
}

}  // namespace weft
