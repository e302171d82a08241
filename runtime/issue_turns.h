#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace weft {

// One order for what the threads of several streams do: each thing waits for its turn, which comes
// when all before it have passed. Turns are taken in that order by one thread; the rest is
// thread-safe.
class IssueTurns {
 public:
  class Turn {
   public:
    Turn(IssueTurns& order, size_t place) : order_(order), place_(place) {}
    // Who is never called upon holds up nobody.
    ~Turn() { Pass(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    // Blocks until all before this one have passed, or LetGo.
    void Await() { order_.Await(place_); }
    // Done: the next may go. Idempotent.
    void Pass() { order_.Pass(place_); }

   private:
    IssueTurns& order_;
    const size_t place_;
  };

  // REQUIRES: all turns of the last time have died.
  void Begin();
  // Behind those that were taken before. Dies before the order.
  std::shared_ptr<Turn> Take();
  // After a failure: everybody's turn comes at once, until Begin.
  void LetGo();

 private:
  void Await(size_t place);
  void Pass(size_t place);

  absl::Mutex mutex_;
  absl::CondVar moved_;
  std::vector<bool> passed_ ABSL_GUARDED_BY(mutex_);  // by place
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;           // all before have passed
  bool let_go_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace weft
