#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/backend.h"
#include "comm/mpi/mpi_progress.h"
#include "comm/open_exchanges.h"

namespace weft {

// Groups of MPI processes. They share one MPI communicator; each Connect takes the next tag, the
// same on all ranks because all call it equally often, so that its messages meet only their own
// kind. Connecting therefore needs no blocking MPI call, which would know no deadline.
class MpiBackend final : public Backend {
 public:
  // `progress` and `next_tag` belong to the session.
  MpiBackend(int rank, int world_size, int64_t max_message_bytes, MpiProgress* progress,
             int* next_tag);

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  absl::StatusOr<std::unique_ptr<Communicator>> Connect(const std::string& name,
                                                        const std::vector<RankId>& ranks,
                                                        absl::Duration deadline) override;
  void Abort(const absl::Status& cause) override { open_.Abort(cause); }

 private:
  const int rank_;
  const int world_size_;
  const int64_t max_message_bytes_;
  MpiProgress* const progress_;
  int* const next_tag_;
  OpenExchanges open_;
};

}  // namespace weft
