#pragma once

#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "comm/exchange.h"
#include "comm/group.h"
#include "comm/mpi/mpi_transfer.h"

namespace weft {

// The thread that makes all MPI calls of a rank. Callers hand it exchanges and wait on a condition;
// it posts them, tests them in turn, and between fruitless looks naps a little (MPI moves nothing
// while nobody calls it, and a thread that spins takes the core from the computation). With nothing
// in flight it waits on a condition.
class MpiProgress {
 public:
  // Takes over MPI: nobody else calls it until the destructor has returned. `comm` spans the world;
  // tags are 0..max_tag.
  MpiProgress(MPI_Comm comm, int max_tag);
  // Ends the thread. REQUIRES: no exchange is running.
  ~MpiProgress();

  MPI_Comm comm() const { return comm_; }
  int max_tag() const { return max_tag_; }

  // One group's wires. This object must outlive them.
  std::shared_ptr<Exchange> MakeExchange(Group group, int tag, int64_t max_message_bytes);

  // Bytes of a failed exchange were still in flight when it was given up: MPI is not called any
  // more and every exchange fails. OK otherwise. Thread-safe.
  absl::Status broken() const;

 private:
  friend class MpiExchange;

  // An exchange on its way from the call that wants it to the thread that carries it out and back.
  struct Job {
    explicit Job(MpiTransfer made) : transfer(std::move(made)) {}

    MpiTransfer transfer;  // the progress thread's alone, like out and in from the inbox on
    std::span<const Outgoing> out;
    std::span<const Incoming> in;
    // Guarded by MpiProgress::mutex_:
    bool give_up = false;
    bool done = false;
    absl::Status status;  // once done; kCancelled: given up, and `missing` says who had not come
    std::vector<int> missing;  // places in the group
    absl::CondVar finished;
  };

  void Run();
  // The parts of a round that call MPI, outside the lock.
  void StartNew();
  bool TestActive();
  void AbandonLost();
  // Hands back the jobs that are over.
  void ReportEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FailAll(std::vector<Job*>& jobs) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Nap(int fruitless_looks) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const MPI_Comm comm_;
  const int max_tag_;

  mutable absl::Mutex mutex_;
  absl::CondVar wake_;  // the inbox, a job given up, closing
  std::vector<Job*> inbox_ ABSL_GUARDED_BY(mutex_);
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);

  // The progress thread's own.
  std::vector<Job*> starting_;
  std::vector<Job*> active_;
  std::vector<Job*> lost_;       // of active_: given up
  absl::Status left_in_flight_;  // of the job whose bytes may still move

  std::thread thread_;
};

}  // namespace weft
