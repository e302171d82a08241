#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "comm/backend.h"
#include "comm/session.h"

// MPI in this process: who we are, from Init to Finalize. After Init one thread of the session
// makes every MPI call (comm/mpi/mpi_progress.h); MPI therefore never sees two threads at once, and
// no other code may call it.

namespace weft {

class MpiProgress;

class MpiSession final : public Session {
 public:
  // COLLECTIVE over all processes that mpirun (or srun) started; once a process, by its main
  // thread. Blocks. kFailedPrecondition when MPI cannot serve calls from a thread other than the
  // main one.
  static absl::StatusOr<std::unique_ptr<MpiSession>> Init(int* argc, char*** argv);
  // Stops the session's thread. Without Finalize the process may only leave by _exit.
  ~MpiSession() override;

  int rank() const override { return rank_; }
  int world_size() const override { return static_cast<int>(nodes_.size()); }
  const std::string& host_name() const { return host_name_; }
  const std::vector<int>& nodes() const override { return nodes_; }
  std::string_view name() const override { return "mpi"; }

  std::unique_ptr<Backend> MakeBackend() override { return MakeBackend(int64_t{1} << 30); }
  // Messages longer than `max_message_bytes` travel in pieces: MPI counts bytes with an int.
  std::unique_ptr<Backend> MakeBackend(int64_t max_message_bytes);

  // kFailedPrecondition after a failed operation whose bytes are still in flight: MPI may not be
  // called any more; flush and _exit.
  absl::Status Finalize() override;

 private:
  MpiSession();

  int rank_ = 0;
  std::string host_name_;
  std::vector<int> nodes_;
  std::unique_ptr<MpiProgress> progress_;
  int next_tag_ = 0;
};

}  // namespace weft
