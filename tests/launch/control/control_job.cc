#include "tests/launch/control/control_job.h"

#include <gtest/gtest.h>

#include <thread>
#include <utility>

#include "base/clock.h"

namespace weft {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(60);

}  // namespace

void AbortRecord::Add(const absl::Status& cause) {
  {
    const absl::MutexLock lock(&mutex_);
    causes_.push_back(cause);
  }
  first_.Set();
}

absl::Status AbortRecord::Await() const {
  if (!first_.Wait(kPatience)) {
    ADD_FAILURE() << "on_abort was not called";
    return absl::OkStatus();
  }
  const absl::MutexLock lock(&mutex_);
  return causes_.front();
}

int AbortRecord::count() const {
  const absl::MutexLock lock(&mutex_);
  return static_cast<int>(causes_.size());
}

ControlJob::ControlJob(const ControlOptions& options) {
  for (int32_t rank = 0; rank < options.world_size; ++rank) {
    aborts_.push_back(std::make_unique<AbortRecord>());
  }
  planes_.resize(options.world_size);
  ThreadGather gather(options.world_size);
  ForEachRank([&](int32_t rank) {
    ControlOptions mine = options;
    mine.rank = rank;
    auto plane = ControlPlane::Connect(
        mine, [&gather, rank](const std::string& text) { return gather.Gather(rank, text); },
        [record = aborts_[rank].get()](const absl::Status& cause) { record->Add(cause); });
    ASSERT_TRUE(plane.ok()) << plane.status();
    planes_[rank] = *std::move(plane);
  });
}

std::vector<absl::Status> ControlJob::LeaveAll() {
  std::vector<absl::Status> statuses(planes_.size());
  ForEachRank([&](int32_t rank) {
    if (planes_[rank] != nullptr) statuses[rank] = planes_[rank]->Leave();
  });
  return statuses;
}

void ControlJob::ForEachRank(const std::function<void(int32_t rank)>& body) const {
  std::vector<std::thread> threads;
  for (size_t rank = 0; rank < planes_.size(); ++rank) {
    threads.emplace_back(body, static_cast<int32_t>(rank));
  }
  for (std::thread& thread : threads) thread.join();
}

void AwaitTrue(const std::string& what, const std::function<bool()>& condition) {
  const OnceEvent never;
  const int64_t patience = absl::ToInt64Nanoseconds(kPatience);
  const int64_t begin = MonotonicClock().NowNanos();
  while (!condition()) {
    ASSERT_LT(MonotonicClock().NowNanos() - begin, patience) << what;
    never.Wait(absl::Milliseconds(5));
  }
}

std::vector<std::string> ThreadGather::Gather(int32_t rank, const std::string& mine) {
  std::unique_lock lock(mutex_);
  texts_[rank] = mine;
  const int64_t round = round_;
  if (++arrived_ == size_) {
    published_ = texts_;
    arrived_ = 0;
    ++round_;
    complete_.notify_all();
  }
  complete_.wait(lock, [this, round] { return round_ > round; });
  return published_;
}

}  // namespace weft
