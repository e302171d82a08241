#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/file_descriptor.h"

namespace weft {

struct RankProcessesOptions {
  int32_t ranks = 1;
  std::vector<std::string> command;    // a program with its path, and its arguments
  std::string rendezvous;              // a directory of this user alone
  std::vector<std::string> variables;  // more of the environment, each "NAME=VALUE"
};

// How one rank ended: `status` as a shell shows it, 128 + signal when it was killed.
struct RankEnd {
  int32_t rank = 0;
  int32_t status = 0;
};
// "rank 2 was killed by signal 9 (Killed)", "rank 2 ended with exit code 5".
std::string Describe(const RankEnd& end);
bool KilledBySignal(const RankEnd& end);

// The ranks of one job as children of this process, each with its WEFT_RANK, WEFT_WORLD_SIZE and
// WEFT_RENDEZVOUS, nothing on stdin, this process's stdout and stderr, and a process group of its
// own: the terminal's Ctrl-C reaches this process alone. They do not outlive the thread that
// started them. One thread at a time.
class RankProcesses {
 public:
  // kNotFound and the like when the program cannot be started; none runs then.
  static absl::StatusOr<std::unique_ptr<RankProcesses>> Start(const RankProcessesOptions& options);
  // Kills those that run.
  ~RankProcesses();
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

  // Blocks until a rank has ended, `other_fd` (-1: none) is readable or `until` has passed.
  void Wait(absl::Time until, int other_fd = -1);
  // Those that have ended, in the order in which it was seen; of several at once, those that were
  // killed first.
  const std::vector<RankEnd>& ended() const { return ended_; }
  // Ascending.
  std::vector<int32_t> running() const;
  // To every rank that runs.
  void Signal(int signal);
  // Kills every rank that runs, with all that it has started itself.
  void Kill();

 private:
  struct Process {
    int32_t rank;
    pid_t pid;
    FileDescriptor alive;  // readable when it has ended
  };

  RankProcesses() = default;

  absl::Status StartOne(const RankProcessesOptions& options, int32_t rank);
  // Takes in those that have ended, with what they leave running.
  void TakeEnded();

  std::vector<Process> running_;
  std::vector<RankEnd> ended_;
};

}  // namespace weft
