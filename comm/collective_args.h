#pragma once

#include <cstdint>
#include <span>

#include "comm/communicator.h"

// What every communicator REQUIRES of the arguments of its collectives, checked in one place:
// callers that break it are wrong on every backend alike.

namespace weft {

void CheckAllGather(const ConstTensorView& send, const TensorView& recv, int size);
void CheckAllGatherV(const AllGatherVArgs& args, int rank, int size);
void CheckReduceScatterV(const ReduceScatterVArgs& args, int rank, int size);
void CheckAllToAllV(const AllToAllVArgs& args, int rank, int size);
void CheckRoot(int root, int size);

// One side of an AllToAllV, or of a V operation: where the rows of each peer stand. Walks over the
// peers in ascending order.
class PeerBlocks {
 public:
  explicit PeerBlocks(std::span<const int64_t> rows, std::span<const int64_t> begin = {})
      : rows_(rows), begin_(begin) {}

  struct Block {
    int64_t begin;  // in rows
    int64_t rows;
  };
  // REQUIRES: there is another peer.
  Block Next();

 private:
  std::span<const int64_t> rows_, begin_;
  size_t peer_ = 0;
  int64_t packed_ = 0;
};

}  // namespace weft
