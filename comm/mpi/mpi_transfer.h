#pragma once

#include <mpi.h>

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "comm/exchange.h"
#include "comm/group.h"

namespace weft {

// One Exchange::Run as MPI sees it: a nonblocking receive and send for every message, in pieces
// where a message is too long for one. Only the progress thread calls this. Keeps its memory from
// one Run to the next.
class MpiTransfer {
 public:
  // Messages of this group carry `tag`. `comm` spans the world: ranks are global ranks.
  MpiTransfer(MPI_Comm comm, int tag, int64_t max_message_bytes, Group group);

  // Posts everything: receives first, so that what arrives finds its buffer. REQUIRES: the last one
  // has ended.
  void Start(std::span<const Outgoing> out, std::span<const Incoming> in);
  // Looks once. True when something has ended since the last look. Never blocks.
  bool Test();
  int outstanding() const { return outstanding_; }  // messages in flight
  // Nothing is in flight any more, or the transfer has failed or been abandoned: status() says
  // which.
  bool ended() const { return outstanding_ == 0 || abandoned_; }
  // kCancelled: abandoned before it was over; missing() says for whom.
  const absl::Status& status() const { return status_; }
  // The peers from which something had not arrived when it was abandoned or, when all had, those
  // that had not taken what they get; places in the group, ascending.
  const std::vector<int>& missing() const { return missing_; }

  // Gives up what has not ended. True when MPI has let go of every buffer; false when a message was
  // already moving or the peer was already offered it: from then on MPI must not be called again,
  // lest it touch the caller's memory.
  bool Abandon();

 private:
  struct Piece {
    int peer;
    int64_t bytes;
    bool incoming;
  };

  std::vector<int> PeersOfOpenPieces(bool incoming) const;
  void PostPieces(int peer, void* data, int64_t bytes, bool incoming);
  void Finish(const Piece& piece, const MPI_Status& status, int code);

  const MPI_Comm comm_;
  const int tag_;
  const int64_t max_message_bytes_;
  const Group group_;
  std::vector<Piece> pieces_;          // one a request
  std::vector<MPI_Request> requests_;  // MPI_REQUEST_NULL once ended
  std::vector<int> indices_;           // what MPI_Testsome answers
  std::vector<MPI_Status> statuses_;
  int outstanding_ = 0;
  bool abandoned_ = false;
  absl::Status status_;
  std::vector<int> missing_;
};

}  // namespace weft
