#include "runtime/issue_order.h"

namespace weft {

void IssueOrder::Begin() {
  absl::MutexLock lock(&mutex_);
  passed_.clear();
  next_ = 0;
  let_go_ = false;
}

std::shared_ptr<IssueOrder::Turn> IssueOrder::Take() {
  absl::MutexLock lock(&mutex_);
  passed_.push_back(false);
  return std::make_shared<Turn>(*this, passed_.size() - 1);
}

void IssueOrder::LetGo() {
  absl::MutexLock lock(&mutex_);
  let_go_ = true;
  moved_.SignalAll();
}

void IssueOrder::Await(size_t place) {
  absl::MutexLock lock(&mutex_);
  while (next_ < place && !let_go_) moved_.Wait(&mutex_);
}

void IssueOrder::Pass(size_t place) {
  absl::MutexLock lock(&mutex_);
  passed_[place] = true;
  while (next_ < passed_.size() && passed_[next_]) ++next_;
  moved_.SignalAll();
}

}  // namespace weft
