#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "tensor/device/buffer.h"
#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/kernels/cuda/cudnn_attention.h"
#include "tensor/kernels/kernels.h"
#include "tensor/row_range.h"

namespace weft {

// Attention in bf16 by cuDNN. Whether it takes a call follows from the types, the shape and the
// addresses of the whole tensors, never from the piece that is wanted: what has its bits in one
// piece has them in all. It computes whole sequences alone; a piece of a shape that it takes which
// begins or ends inside one is a programmer error.
class FusedAttention {
 public:
  // All three outlive it; `memory` is of the queue's device.
  FusedAttention(CudaQueue& queue, Memory& memory, CudnnAttention& library)
      : queue_(queue), library_(library), workspace_(memory) {}

  // False when the library does not take the call. `tokens`: the queries that are wanted, at least
  // one.
  bool Forward(const AttentionForwardArgs& args, RowRange tokens);
  bool Backward(const AttentionBackwardArgs& args, RowRange tokens);

 private:
  // What is computed at once of one shape, so that a backward fits into the workspace: some heads
  // of keys and values with their queries, of one sequence, or all heads of some sequences.
  struct Cut {
    int64_t kv_heads = 0;
    int64_t sequences = 0;
  };
  // Of one sequence of all heads.
  const std::optional<Cut>& CutOf(const AttentionShape& whole);
  std::optional<Cut> Choose(const AttentionShape& whole);

  // Calls run(shape, first sequence, first head of keys and values) for parts of the tokens.
  template <typename Args, typename F>
  bool ForEachPart(const Args& args, RowRange tokens, F run);
  void* Workspace(AttentionDirection direction, const AttentionShape& shape);
  void Issued(const absl::Status& status, const char* what, const AttentionShape& shape);

  CudaQueue& queue_;
  CudnnAttention& library_;
  Buffer workspace_;
  std::map<AttentionShape, std::optional<Cut>> cuts_;
};

// "attention by cuDNN 9.19.0", or why not.
std::string DescribeAttention(const absl::StatusOr<std::unique_ptr<CudnnAttention>>& library);

}  // namespace weft
