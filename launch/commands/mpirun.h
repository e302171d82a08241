#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace weft {

// How a job is started.
struct MpirunOptions {
  int32_t ranks = 1;
  std::string mpirun = "mpirun";
  std::vector<std::string> command;  // the program each rank runs, and its arguments
  std::string launch_directory;      // for the ranks' environment (run_files.h)
  absl::Duration grace =
      absl::Seconds(120);  // from the request to stop until the job is ended by force
};

// What mpirun and its words on stderr told about the end.
struct MpirunEnd {
  int32_t status = 0;           // as a shell shows it: 128 + signal when killed
  int32_t rank = -1;            // the first rank that failed; -1: mpirun named none
  bool stop_requested = false;  // a signal asked for the end
  bool forced = false;          // ... which had to be forced
};

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
std::vector<std::string> MpirunArguments(const MpirunOptions& options);

// Starts mpirun in a process group of its own and blocks until it has ended. Its stderr is passed
// on. The first SIGINT, SIGTERM, SIGHUP or SIGUSR1 asks the ranks for a checkpoint and the end
// (mpirun passes SIGUSR1 on to them; after SIGTERM it would kill them within a second); a second
// one, or the end of the grace, ends the job by force. kNotFound when mpirun cannot be started.
// REQUIRES: the process has no other thread.
absl::StatusOr<MpirunEnd> RunMpirun(const MpirunOptions& options);

}  // namespace weft
