#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/file_descriptor.h"
#include "comm/group.h"
#include "comm/socket/rank_environment.h"
#include "comm/socket/wait_end.h"
#include "comm/socket/wire.h"

namespace weft {

// Where the ranks of one machine find each other: a directory in which every rank listens on
// rank-N.sock. Of two members the higher rank comes to the lower one, with a connection for each
// communicator that they share.
//
// rank-N.lock is locked while rank N lives. Two processes can therefore not be the same rank, and
// what a dead one left behind is replaced: a socket appears under its name only when it listens,
// and who comes too early waits for changes of the directory. The lock files stay. Directories that
// another user may enter are refused.
class Rendezvous {
 public:
  // Begins to listen; waits for nobody. kNotFound: no such directory; kPermissionDenied: it is open
  // to others; kFailedPrecondition: a living process is this rank; kInvalidArgument: its name is
  // too long for a socket.
  static absl::StatusOr<std::unique_ptr<Rendezvous>> Open(const RankEnvironment& environment);
  ~Rendezvous();
  Rendezvous(const Rendezvous&) = delete;
  Rendezvous& operator=(const Rendezvous&) = delete;

  int rank() const { return environment_.rank; }
  int world_size() const { return environment_.world_size; }

  // The next communicator's number: the same on all ranks, because all Connect equally often.
  int TakeNumber() { return next_number_++; }
  // A connection to every other member, by member. One thread at a time. Blocks until all have
  // come, `end` has a cause or group.deadline has passed: kDeadlineExceeded names who has not come.
  // kFailedPrecondition: a rank belongs to a world of another size. Strangers that do not speak our
  // protocol are shown the door, in the log.
  absl::StatusOr<std::vector<FileDescriptor>> Meet(int communicator, const Group& group,
                                                   const WaitEnd& end);

 private:
  class Meeting;

  // A connection on which the other side's greeting has not arrived whole.
  struct Guest {
    FileDescriptor connection;
    Greeting greeting;
    size_t bytes = 0;  // of the greeting
  };

  explicit Rendezvous(RankEnvironment environment) : environment_(std::move(environment)) {}

  std::string PathOf(int rank, const char* suffix) const;
  absl::Status CheckDirectory() const;
  absl::Status Lock();
  absl::Status Listen();

  const RankEnvironment environment_;
  FileDescriptor lock_;
  FileDescriptor listener_;
  FileDescriptor changes_;  // inotify: of the directory
  int next_number_ = 0;
  std::vector<Guest> guests_;
  // Who has come for a later communicator, by communicator and rank.
  std::map<std::pair<int, int>, FileDescriptor> early_;
};

}  // namespace weft
