#pragma once

#include <mpi.h>

#include <span>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "comm/exchange.h"
#include "comm/group.h"

namespace weft {

// An Exchange of plain non-blocking MPI messages, for a rank that is one thread and nothing else,
// as ranks are under SMPI. All receives are posted first, then all sends, then all are waited for.
//
// Hold makes the next Run return as soon as everything is posted; Finish waits for it. So one
// thread has two groups' exchanges under way at once, as a rank with two streams has. The program
// ends where MPI reports an error.
class SmpiExchange final : public Exchange {
 public:
  // `tag` keeps the messages of this group apart from those of others: the same on all members.
  SmpiExchange(Group group, int tag) : group_(std::move(group)), tag_(tag) {}

  absl::Status Run(std::span<const Outgoing> out, std::span<const Incoming> in) override;
  absl::Status Health() const override { return first_error_; }
  void Abort(const absl::Status& cause) override { first_error_.Update(AbortedBy(cause)); }

  void Hold() { held_ = true; }
  // REQUIRES: Hold, then Run.
  absl::Status Finish();

 private:
  const Group group_;
  const int tag_;
  bool held_ = false;
  std::vector<Incoming> expected_;     // of the first requests
  std::vector<MPI_Request> requests_;  // posted and not waited for
  absl::Status first_error_;
};

}  // namespace weft
