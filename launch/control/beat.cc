#include "launch/control/beat.h"

#include <utility>

namespace weft {

void OnceEvent::Set() {
  const std::lock_guard lock(mutex_);
  happened_ = true;
  changed_.notify_all();
}

bool OnceEvent::happened() const {
  const std::lock_guard lock(mutex_);
  return happened_;
}

bool OnceEvent::Wait(absl::Duration timeout) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout), [this] { return happened_; });
}

Beat::Beat(absl::Duration period, std::function<void()> beat)
    : period_(period), beat_(std::move(beat)), thread_([this] { Run(); }) {}

Beat::~Beat() { Stop(); }

void Beat::Wake() {
  const std::lock_guard lock(mutex_);
  wake_ = true;
  changed_.notify_all();
}

void Beat::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void Beat::Run() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    wake_ = false;
    lock.unlock();
    beat_();
    lock.lock();
    changed_.wait_for(lock, absl::ToChronoNanoseconds(period_), [this] { return wake_ || stop_; });
  }
}

}  // namespace weft
