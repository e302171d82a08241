#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "launch/commands/launched_ranks.h"

namespace weft {

// The words in which mpirun names the rank that ended the job, looked for in its stderr. Open
// MPI 4.1 does not always find the time to say them.
class MpirunWords {
 public:
  void Read(const std::string& chunk);
  int32_t rank() const { return rank_; }

 private:
  void ReadLine(const std::string& line);

  std::string line_;
  int32_t rank_ = -1;
};

// The arguments mpirun is started with, itself included.
std::vector<std::string> MpirunArguments(const LaunchOptions& options);

// Starts mpirun in a process group of its own and blocks until it has ended. Its stderr is passed
// on. The first SIGINT, SIGTERM, SIGHUP or SIGUSR1 asks the ranks for a checkpoint and the end
// (mpirun passes SIGUSR1 on to them; after SIGTERM it would kill them within a second); a second
// one, or the end of the grace, ends the job by force. kNotFound when mpirun cannot be started.
// REQUIRES: the process has no other thread.
absl::StatusOr<RanksEnd> RunMpirun(const LaunchOptions& options);

}  // namespace weft
