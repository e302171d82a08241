#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <map>
#include <optional>

#include "tensor/device/buffer.h"
#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cublas_lt.h"
#include "tensor/kernels/cuda/lanes.h"

namespace weft {

// Products in bf16 by cuBLASLt. Row-invariant as far as its algorithms are: one is chosen once for
// all row counts, from a fixed one, and none splits the sum over k. That an algorithm's sums do not
// depend on the row count is what its documentation lets expect; tests/tensor shows it or not.
class LtProducts {
 public:
  // All three outlive the products; `memory` is of the queue's device.
  LtProducts(CudaQueue& queue, Memory& memory, CublasLt& library)
      : queue_(queue), library_(library), workspaces_(memory), lanes_(queue) {}

  // What they take of `memory`.
  static int64_t WorkspaceBytes(const CublasLt& library) {
    return library.workspace_bytes() * (1 + Lanes::kMost);
  }

  // False when the library does not take the product, which nothing but types, addresses and sizes
  // decides; of rows to rows, not their number. Other addresses and sizes than multiples of 16
  // bytes it does not.
  bool Gemm(const GemmArgs& args, const GemmShape& shape);

  // Products that do not need each other, one after the other, go to several streams in turn.
  // Each is as in Gemm. `expected`: how many will come, about.
  class Beside {
   public:
    Beside(LtProducts& products, int64_t expected);
    ~Beside();
    Beside(const Beside&) = delete;
    Beside& operator=(const Beside&) = delete;
    bool Gemm(const GemmArgs& args, const GemmShape& shape);

   private:
    LtProducts& products_;
    int lanes_;
    int next_ = 0;
  };

 private:
  // What an algorithm is chosen for. Of a product of rows, all but their number; of a gradient of
  // weights, whose k is the number of rows, that number's size.
  struct Kind {
    bool transpose_a, transpose_b, accumulate;
    DType c;
    int64_t m, k, n;
    auto operator<=>(const Kind&) const = default;
  };

  bool Run(const GemmArgs& args, const GemmShape& shape, int lane, cudaStream_t stream);
  const std::optional<LtAlgorithm>& AlgorithmFor(const Kind& kind);
  std::optional<LtAlgorithm> Choose(const Kind& kind);

  CudaQueue& queue_;
  CublasLt& library_;
  Buffer workspaces_;  // one for the caller's stream, then one a lane
  Lanes lanes_;
  std::map<Kind, std::optional<LtAlgorithm>> algorithms_;
};

}  // namespace weft
