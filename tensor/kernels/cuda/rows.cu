#include <algorithm>
#include <array>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/reduce.h"

namespace weft {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kRowsOfBlock = 4;

// Blocks of rows that travel to the device as an argument: no copy, nothing to keep.
constexpr size_t kBlocksOfLaunch = 128;
struct RowBlocks {
  RowBlock blocks[kBlocksOfLaunch];
};

// Word: what divides rows and addresses.
template <typename Word>
__global__ void CopyRowsKernel(const Word* from, RowBlocks blocks, Word* to, int64_t width) {
  const RowBlock block = blocks.blocks[blockIdx.y];
  const int64_t words = block.count * width;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < words;
       i += static_cast<int64_t>(gridDim.x) * blockDim.x) {
    to[block.to * width + i] = from[block.from * width + i];
  }
}

// `weight` null: as it is.
__global__ void GatherKernel(const float* x, const int32_t* index, const float* weight, float* y,
                             int64_t elements, int64_t width) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= elements) return;
  const int64_t row = i / width;
  const float value = x[index[row] * width + i % width];
  y[i] = weight == nullptr ? value : weight[row] * value;
}

__global__ void GatherSumKernel(const float* x, const int32_t* slot, const float* weight, float* y,
                                int64_t elements, int64_t width, int64_t k, bool accumulate) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= elements) return;
  const int64_t row = i / width, column = i % width;
  float sum = accumulate ? y[i] : 0.0f;
  for (int64_t j = row * k; j < (row + 1) * k; ++j) {
    if (slot[j] < 0) continue;
    const float value = x[slot[j] * width + column];
    sum += weight == nullptr ? value : weight[j] * value;
  }
  y[i] = sum;
}

// A warp for each slot.
__global__ void GatherDotKernel(const float* a, const float* x, const int32_t* slot, float* d,
                                int64_t slots, int64_t width, int64_t k) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kRowsOfBlock + threadIdx.y;
  if (i >= slots) return;
  const int32_t row = slot[i];
  double sum = 0;
  for (int64_t c = threadIdx.x; row >= 0 && c < width; c += kWarp) {
    sum += static_cast<double>(a[i / k * width + c]) * x[row * width + c];
  }
  sum = WarpSum(sum);
  if (threadIdx.x == 0) d[i] = static_cast<float>(sum);
}

template <typename Word>
void CopyWords(CudaQueue& queue, const ConstTensorView& from, std::span<const RowBlock> blocks,
               const TensorView& to, int64_t row_bytes) {
  const int64_t width = row_bytes / static_cast<int64_t>(sizeof(Word));
  for (size_t done = 0; done < blocks.size(); done += kBlocksOfLaunch) {
    const size_t count = std::min(blocks.size() - done, kBlocksOfLaunch);
    RowBlocks some = {};
    int64_t rows = 0;
    for (size_t i = 0; i < count; ++i) {
      some.blocks[i] = blocks[done + i];
      rows = std::max(rows, some.blocks[i].count);
    }
    const unsigned groups = std::min(GroupsOf(rows * width, 4 * kThreads), 256u);
    Launch(queue, "CopyRows", dim3(groups, static_cast<unsigned>(count)), kThreads,
           CopyRowsKernel<Word>, static_cast<const Word*>(from.data), some,
           static_cast<Word*>(to.data), width);
  }
}

}  // namespace

void CudaKernels::CopyRows(ConstTensorView from, std::span<const RowBlock> blocks, TensorView to) {
  CheckCopyRows(from, blocks, to);
  const int64_t row_bytes = to.dim(1) * SizeOf(to.dtype);
  const uint64_t divides = static_cast<uint64_t>(row_bytes) |
                           reinterpret_cast<uintptr_t>(from.data) |
                           reinterpret_cast<uintptr_t>(to.data);
  if (divides % sizeof(uint4) == 0) {
    CopyWords<uint4>(queue_, from, blocks, to, row_bytes);
  } else if (divides % sizeof(uint32_t) == 0) {
    CopyWords<uint32_t>(queue_, from, blocks, to, row_bytes);
  } else {
    CopyWords<uint8_t>(queue_, from, blocks, to, row_bytes);
  }
}

void CudaKernels::GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) {
  CheckGather(x, index, {}, y, Indices::kOnDevice);
  const int64_t n = y.elements();
  Launch(queue_, "GatherRows", GroupsOf(n, kThreads), kThreads, GatherKernel, x.as<float>(),
         index.as<int32_t>(), nullptr, y.as<float>(), n, y.dim(1));
}

void CudaKernels::GatherScaledRows(ConstTensorView x, ConstTensorView index, ConstTensorView weight,
                                   TensorView y) {
  CheckGather(x, index, weight, y, Indices::kOnDevice);
  const int64_t n = y.elements();
  Launch(queue_, "GatherScaledRows", GroupsOf(n, kThreads), kThreads, GatherKernel, x.as<float>(),
         index.as<int32_t>(), weight.as<float>(), y.as<float>(), n, y.dim(1));
}

void CudaKernels::GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                            bool accumulate, TensorView y) {
  CheckGatherSum(x, slot, weight, y, Indices::kOnDevice);
  const int64_t n = y.elements();
  Launch(queue_, "GatherSum", GroupsOf(n, kThreads), kThreads, GatherSumKernel, x.as<float>(),
         slot.as<int32_t>(), weight.data == nullptr ? nullptr : weight.as<float>(), y.as<float>(),
         n, y.dim(1), slot.dim(1), accumulate);
}

void CudaKernels::GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                            TensorView d) {
  CheckGatherDot(a, x, slot, d, Indices::kOnDevice);
  const int64_t n = slot.elements();
  Launch(queue_, "GatherDot", GroupsOf(n, kRowsOfBlock), dim3(kWarp, kRowsOfBlock), GatherDotKernel,
         a.as<float>(), x.as<float>(), slot.as<int32_t>(), d.as<float>(), n, x.dim(1), slot.dim(1));
}

}  // namespace weft
