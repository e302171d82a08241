#pragma once

#include <cstdint>

#include "tensor/device/buffer.h"
#include "tensor/device/cuda/cuda_queue.h"
#include "tensor/kernels/cuda/grouped_kernels.h"
#include "tensor/kernels/kernels.h"

// Products of groups in one launch. Free of Abseil: nvcc reads it.

namespace weft {

// Products of groups whose row counts the host need not know. Everything is on the device. Group g
// has rows [offsets[g], offsets[g + 1]) of `left`, and of `right`. With d a matrix of its own for
// each group:
//   kTransposeB  right = left * d^T   left [rows, k], d [n, k] bf16, right [rows, n] bf16
//   kPlain       right = left * d     left [rows, k], d [k, n] bf16, right [rows, n] bf16
//   kTransposeA  d += left^T * right  left [rows, m] bf16, right [rows, n] bf16, d [m, n] fp32;
//                                     that of a group without rows is not touched
struct GroupedRun {
  GroupedProduct product = GroupedProduct::kTransposeB;
  int32_t groups = 0;
  const int64_t* offsets = nullptr;  // groups + 1, ascending, below 2^31
  const BFloat16* left = nullptr;
  int64_t left_width = 0;
  BFloat16* right = nullptr;
  int64_t right_width = 0;
  void* const* matrices = nullptr;  // one a group
};

// Of one Kernels: what a launch reads is prepared on the device in buffers that the next call of
// the stream overwrites. A warm call allocates nothing and waits for nothing.
class GroupedLaunch {
 public:
  // Both outlive it; `memory` is of the queue's device.
  GroupedLaunch(CudaQueue& queue, Memory& memory, int multiprocessors);

  // Whether this build has a kernel and it takes the operands: bf16, addresses and widths of
  // multiples of 16 bytes. Numbers of rows do not matter, but there is a row.
  static bool Takes(const GroupedGemmArgs& args);
  static bool Takes(const GroupedWgradArgs& args);

  // REQUIRES: Takes(args).
  void Gemm(const GroupedGemmArgs& args);
  void Wgrad(const GroupedWgradArgs& args);

  // REQUIRES: what Takes asks for, of all matrices and widths; groups > 0.
  void Run(const GroupedRun& run);

 private:
  // Row counts and matrices from the host, on the device: the arrays of `run`.
  template <typename View>
  void Upload(std::span<const int64_t> rows, std::span<const View> matrices, GroupedRun& run);

  CudaQueue& queue_;
  const int multiprocessors_;
  Buffer offsets_, matrices_;  // from the host
  Buffer sizes_, pointers_, strides_;
  Buffer workspace_;
};

}  // namespace weft
