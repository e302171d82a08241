#include "runtime/issue_turns.h"

namespace weft {

void IssueTurns::Begin() {
  absl::MutexLock lock(&mutex_);
  passed_.clear();
  next_ = 0;
  let_go_ = false;
}

std::shared_ptr<IssueTurns::Turn> IssueTurns::Take() {
  absl::MutexLock lock(&mutex_);
  passed_.push_back(false);
  return std::make_shared<Turn>(*this, passed_.size() - 1);
}

void IssueTurns::LetGo() {
  absl::MutexLock lock(&mutex_);
  let_go_ = true;
  moved_.SignalAll();
}

void IssueTurns::Await(size_t place) {
  absl::MutexLock lock(&mutex_);
  while (next_ < place && !let_go_) moved_.Wait(&mutex_);
}

void IssueTurns::Pass(size_t place) {
  absl::MutexLock lock(&mutex_);
  passed_[place] = true;
  while (next_ < passed_.size() && passed_[next_]) ++next_;
  moved_.SignalAll();
}

}  // namespace weft
