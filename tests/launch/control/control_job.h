#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "launch/control/beat.h"
#include "launch/control/control_plane.h"

namespace weft {

// What one rank's on_abort was told.
class AbortRecord {
 public:
  void Add(const absl::Status& cause);
  // The cause; fails the test and is OK when none comes within a minute.
  absl::Status Await() const;
  int count() const;

 private:
  OnceEvent first_;
  mutable absl::Mutex mutex_;
  std::vector<absl::Status> causes_ ABSL_GUARDED_BY(mutex_);
};

// A whole job's control plane in one process, over real sockets: every rank is a thread while it
// connects or leaves.
class ControlJob {
 public:
  // Connects all ranks; a failure to do so fails the test.
  explicit ControlJob(const ControlOptions& options);

  ControlClient& client(int32_t rank) { return planes_[rank]->client(); }
  const ControlOptions& options(int32_t rank) const { return planes_[rank]->options(); }
  const AbortRecord& aborts(int32_t rank) const { return *aborts_[rank]; }

  // The rank ends without a word, servers and all.
  void Kill(int32_t rank) { planes_[rank] = nullptr; }
  // All ranks left leave at the same time, as after the last step. By rank; OK for those killed.
  std::vector<absl::Status> LeaveAll();

 private:
  void ForEachRank(const std::function<void(int32_t rank)>& body) const;

  std::vector<std::unique_ptr<AbortRecord>> aborts_;
  std::vector<std::unique_ptr<ControlPlane>> planes_;
};

// Polls until `condition` holds; fails the test after a minute.
void AwaitTrue(const std::string& what, const std::function<bool()>& condition);

// Gives the texts of `size` threads to each other, again and again.
class ThreadGather {
 public:
  explicit ThreadGather(int32_t size) : size_(size) {}
  std::vector<std::string> Gather(int32_t rank, const std::string& mine);

 private:
  const int32_t size_;
  std::mutex mutex_;
  std::condition_variable complete_;
  std::vector<std::string> texts_ = std::vector<std::string>(size_);
  std::vector<std::string> published_;
  int32_t arrived_ = 0;
  int64_t round_ = 0;
};

}  // namespace weft
