#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "comm/backend.h"
#include "comm/open_exchanges.h"
#include "comm/socket/rendezvous.h"

namespace weft {

// Ranks that are processes of one machine, without MPI: Unix-domain stream sockets between all of
// them, one connection for each pair of ranks and communicator.
//
// Why not one connection a pair: it would need a thread that takes apart what different
// communicators send, and copies of what nobody waits for yet. A connection of its own keeps a
// communicator apart from all others in the kernel: its thread moves its bytes itself, its full
// buffers stop nobody else, and when it is destroyed its peers see it closed. The price is a
// descriptor for each pair and communicator, so that the limit of this process is raised to what it
// may be.
class SocketBackend final : public Backend {
 public:
  // The backends of one rendezvous count their Connect calls together.
  explicit SocketBackend(std::shared_ptr<Rendezvous> rendezvous);

  int rank() const override { return rendezvous_->rank(); }
  int world_size() const override { return rendezvous_->world_size(); }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override;
  void Abort(const absl::Status& cause) override { open_.Abort(cause); }

 private:
  const std::shared_ptr<Rendezvous> rendezvous_;
  OpenExchanges open_;
};

}  // namespace weft
