#include "comm/mpi/mpi_progress.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

// After a look that found nothing: first only offer the core to others (a small exchange among
// ranks that come together is over within this), then nap briefly, then at length. Measured in
// docs/collectives.md.
constexpr int kLooksBeforeNap = 50;
constexpr int kShortNaps = 8;
constexpr absl::Duration kShortNap = absl::Microseconds(50);
constexpr absl::Duration kLongNap = absl::Microseconds(200);

}  // namespace

class MpiExchange final : public Exchange {
 public:
  MpiExchange(MpiProgress* progress, Group group, int tag, int64_t max_message_bytes)
      : progress_(progress),
        group_(group),
        job_(MpiTransfer(progress->comm_, tag, max_message_bytes, std::move(group))) {}

  absl::Status Run(std::span<const Outgoing> out, std::span<const Incoming> in) override {
    const absl::Time until = absl::Now() + group_.deadline;
    absl::MutexLock lock(&progress_->mutex_);
    if (!health_.ok()) return health_;
    if (out.empty() && in.empty()) return absl::OkStatus();
    job_.out = out;
    job_.in = in;
    job_.give_up = false;
    job_.done = false;
    running_ = true;
    progress_->inbox_.push_back(&job_);
    progress_->wake_.Signal();
    // The buffers are the caller's: whatever happens, the thread has to have let go of them first.
    // It answers soon.
    while (!job_.done) {
      if (job_.give_up) {
        job_.finished.Wait(&progress_->mutex_);
      } else if (job_.finished.WaitWithDeadline(&progress_->mutex_, until) && !job_.done) {
        GiveUp();
      }
    }
    running_ = false;
    if (health_.ok()) {
      health_ =
          absl::IsCancelled(job_.status) ? MissingMembersError(group_, job_.missing) : job_.status;
    }
    return health_;
  }

  absl::Status Health() const override {
    absl::MutexLock lock(&progress_->mutex_);
    return health_;
  }

  void Abort(const absl::Status& cause) override {
    absl::MutexLock lock(&progress_->mutex_);
    if (!health_.ok()) return;
    health_ = AbortedBy(cause);
    if (running_) GiveUp();
  }

 private:
  void GiveUp() ABSL_EXCLUSIVE_LOCKS_REQUIRED(progress_->mutex_) {
    job_.give_up = true;
    progress_->wake_.Signal();
  }

  MpiProgress* const progress_;
  const Group group_;
  MpiProgress::Job job_;
  bool running_ ABSL_GUARDED_BY(progress_->mutex_) = false;
  absl::Status health_ ABSL_GUARDED_BY(progress_->mutex_);
};

MpiProgress::MpiProgress(MPI_Comm comm, int max_tag)
    : comm_(comm), max_tag_(max_tag), thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), "mpi");
}

MpiProgress::~MpiProgress() {
  {
    absl::MutexLock lock(&mutex_);
    closing_ = true;
    wake_.Signal();
  }
  thread_.join();
}

std::shared_ptr<Exchange> MpiProgress::MakeExchange(Group group, int tag,
                                                    int64_t max_message_bytes) {
  return std::make_shared<MpiExchange>(this, std::move(group), tag, max_message_bytes);
}

absl::Status MpiProgress::broken() const {
  absl::MutexLock lock(&mutex_);
  return broken_;
}

void MpiProgress::Run() {
  prctl(PR_SET_TIMERSLACK, 1000UL);  // nanoseconds: a nap of 50 us is not one of 100
  int fruitless_looks = 0;
  absl::MutexLock lock(&mutex_);
  for (;;) {
    while (inbox_.empty() && active_.empty() && !closing_) wake_.Wait(&mutex_);
    if (inbox_.empty() && active_.empty()) return;
    if (!broken_.ok()) {
      FailAll(inbox_);
      continue;
    }
    const bool posted = !inbox_.empty();
    starting_.swap(inbox_);
    for (Job* job : active_) {
      if (job->give_up) lost_.push_back(job);
    }
    mutex_.Unlock();
    StartNew();
    const bool moved = TestActive();
    AbandonLost();
    mutex_.Lock();
    ReportEnded();
    fruitless_looks = posted || moved ? 0 : fruitless_looks + 1;
    if (fruitless_looks > 0 && !active_.empty()) Nap(fruitless_looks);
  }
}

void MpiProgress::StartNew() {
  for (Job* job : starting_) {
    job->transfer.Start(job->out, job->in);
    active_.push_back(job);
  }
  starting_.clear();
}

bool MpiProgress::TestActive() {
  bool moved = false;
  for (Job* job : active_) moved |= job->transfer.Test();
  return moved;
}

void MpiProgress::AbandonLost() {
  for (Job* job : active_) {
    const bool failed = !job->transfer.status().ok();
    const bool given_up = std::find(lost_.begin(), lost_.end(), job) != lost_.end();
    if (job->transfer.outstanding() == 0 || !(failed || given_up)) continue;
    if (!job->transfer.Abandon()) left_in_flight_ = job->transfer.status();
  }
  lost_.clear();
}

void MpiProgress::ReportEnded() {
  const auto over = [](Job* job) { return job->transfer.ended(); };
  for (Job* job : active_) {
    if (!over(job)) continue;
    job->status = job->transfer.status();
    job->missing = job->transfer.missing();
    job->done = true;
    job->finished.Signal();
  }
  active_.erase(std::remove_if(active_.begin(), active_.end(), over), active_.end());
  if (!left_in_flight_.ok() && broken_.ok()) {
    broken_ =
        absl::AbortedError(absl::StrCat("aborted: ", left_in_flight_.message(),
                                        " with messages in flight, which ends the use of MPI"));
    FailAll(active_);
  }
}

void MpiProgress::FailAll(std::vector<Job*>& jobs) {
  for (Job* job : jobs) {
    job->status = broken_;
    job->done = true;
    job->finished.Signal();
  }
  jobs.clear();
}

void MpiProgress::Nap(int fruitless_looks) {
  if (fruitless_looks <= kLooksBeforeNap) {
    mutex_.Unlock();
    sched_yield();
    mutex_.Lock();
    return;
  }
  const bool brief = fruitless_looks <= kLooksBeforeNap + kShortNaps;
  wake_.WaitWithTimeout(&mutex_, brief ? kShortNap : kLongNap);
}

}  // namespace weft
