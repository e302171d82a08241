#pragma once

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "comm/backend.h"
#include "comm/inproc/mailboxes.h"
#include "comm/open_exchanges.h"

namespace weft {

// All ranks as threads of one process: what tests and a single-process run use instead of MPI. Made
// once, shared; every rank's thread takes its own Backend, which keeps the world alive. Same
// results and errors as `mpi`.
class InprocWorld : public std::enable_shared_from_this<InprocWorld> {
 public:
  static std::shared_ptr<InprocWorld> Make(int world_size);

  // REQUIRES: 0 <= rank < world_size; once a rank. Thread-safe.
  std::unique_ptr<Backend> MakeBackend(RankId rank);
  // Aborts the backends of all ranks, as if each had called Abort. Thread-safe.
  void Abort(const absl::Status& cause);

  int size() const { return static_cast<int>(open_.size()); }

 private:
  friend class InprocBackend;

  // The groups of one Connect call whose members have not all come yet, by call number and members.
  using MeetingKey = std::pair<int, std::vector<RankId>>;
  struct Meeting {
    std::shared_ptr<Mailboxes> boxes;
    int joined = 0;
  };

  explicit InprocWorld(int world_size);
  std::shared_ptr<Mailboxes> Join(int call, const std::vector<RankId>& ranks);

  std::vector<OpenExchanges> open_;  // by rank
  absl::Mutex mutex_;
  std::map<MeetingKey, Meeting> meetings_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace weft
