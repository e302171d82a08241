#include <algorithm>
#include <array>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"
#include "tensor/kernels/cuda/dispatch.h"
#include "tensor/kernels/cuda/reduce.h"
#include "tensor/kernels/cuda/row_grid.h"

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
template <typename T, int kPack>
__global__ void GatherKernel(const T* x, const int32_t* index, const float* weight, T* y,
                             int64_t rows, int width) {
  const int64_t row = GridRow();
  const int column = GridColumn(kPack);
  if (row >= rows || column >= width) return;
  const T* const from = x + int64_t{index[row]} * width + column;
  T* const to = y + row * width + column;
  if (weight == nullptr) {
    using Access = Accessed<T, kPack>;
    *reinterpret_cast<Access*>(to) = *reinterpret_cast<const Access*>(from);
    return;
  }
  Pack<kPack> values = Load<kPack>(from);
  const float factor = weight[row];
#pragma unroll
  for (int i = 0; i < kPack; ++i) values.at[i] *= factor;
  Store(values, to);
}

// So many rows of a sum are on their way at once.
constexpr int kBatch = 4;

template <typename T, int kPack>
__global__ void GatherSumKernel(const T* x, const int32_t* slot, const float* weight, T* y,
                                int64_t rows, int width, int k, bool accumulate) {
  const int64_t row = GridRow();
  const int column = GridColumn(kPack);
  if (row >= rows || column >= width) return;
  T* const to = y + row * width + column;
  Pack<kPack> sum = {};
  if (accumulate) sum = Load<kPack>(to);
  for (int first = 0; first < k; first += kBatch) {
    Pack<kPack> values[kBatch] = {};
    float factors[kBatch] = {};
    bool there[kBatch];
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
      const int64_t at = row * k + first + j;
      const int64_t from = first + j < k ? slot[at] : -1;
      there[j] = from >= 0;
      if (!there[j]) continue;
      values[j] = Load<kPack>(x + from * width + column);
      factors[j] = weight == nullptr ? 1.0f : weight[at];
    }
#pragma unroll
    for (int j = 0; j < kBatch; ++j) {
#pragma unroll
      for (int i = 0; i < kPack; ++i) {
        const float more = fmaf(factors[j], values[j].at[i], sum.at[i]);
        sum.at[i] = there[j] ? more : sum.at[i];  // no branch, which would drag the load behind it
      }
    }
  }
  Store(sum, to);
}

// A warp for each slot.
template <typename T, int kPack, bool kAligned>
__global__ void GatherDotKernel(const T* a, const T* x, const int32_t* slot, float* d,
                                int64_t slots, int width, unsigned k) {
  const int64_t i = int64_t{blockIdx.x} * kRowsOfBlock + threadIdx.y;
  if (i >= slots) return;
  const int32_t row = slot[i];
  float sum = 0;
  if (row >= 0) {
    const T* const left = a + int64_t{static_cast<unsigned>(i) / k} * width;
    const T* const right = x + int64_t{row} * width;
#pragma unroll 4
    for (int c = static_cast<int>(threadIdx.x) * kPack; c < width; c += kWarp * kPack) {
      const Pack<kPack> l = Load<kPack, kAligned>(left + c), r = Load<kPack, kAligned>(right + c);
#pragma unroll
      for (int e = 0; e < kPack; ++e) sum = fmaf(l.at[e], r.at[e], sum);
    }
  }
  sum = WarpSum(sum);
  if (threadIdx.x == 0) d[i] = sum;
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
  } else if (divides % sizeof(uint16_t) == 0) {
    CopyWords<uint16_t>(queue_, from, blocks, to, row_bytes);
  } else {
    CopyWords<uint8_t>(queue_, from, blocks, to, row_bytes);
  }
}

void CudaKernels::Gather(const char* name, const ConstTensorView& x, const ConstTensorView& index,
                         const float* weight, const TensorView& y) {
  const int64_t rows = y.dim(0), width = y.dim(1);
  if (y.elements() == 0) return;
  WithPacks(y.dtype, width, {x.data, y.data}, [&]<typename T, int kPack>() {
    const RowGrid over = GridOfRows(rows, width / kPack);
    Launch(queue_, name, over.grid, over.block, GatherKernel<T, kPack>, x.as<T>(),
           index.as<int32_t>(), weight, y.as<T>(), rows, static_cast<int>(width));
  });
}

void CudaKernels::GatherRows(ConstTensorView x, ConstTensorView index, TensorView y) {
  CheckGather(x, index, {}, y, Indices::kOnDevice);
  Gather("GatherRows", x, index, nullptr, y);
}

void CudaKernels::GatherScaledRows(ConstTensorView x, ConstTensorView index, ConstTensorView weight,
                                   TensorView y) {
  CheckGather(x, index, weight, y, Indices::kOnDevice);
  Gather("GatherScaledRows", x, index, OrNull<float>(weight), y);
}

void CudaKernels::GatherSum(ConstTensorView x, ConstTensorView slot, ConstTensorView weight,
                            bool accumulate, TensorView y) {
  CheckGatherSum(x, slot, weight, y, Indices::kOnDevice);
  const int64_t rows = y.dim(0), width = y.dim(1);
  if (y.elements() == 0) return;
  WithPacks(y.dtype, width, {x.data, y.data}, [&]<typename T, int kPack>() {
    const RowGrid over = GridOfRows(rows, width / kPack);
    Launch(queue_, "GatherSum", over.grid, over.block, GatherSumKernel<T, kPack>, OrNull<T>(x),
           slot.as<int32_t>(), OrNull<float>(weight), y.as<T>(), rows, static_cast<int>(width),
           static_cast<int>(slot.dim(1)), accumulate);
  });
}

void CudaKernels::GatherDot(ConstTensorView a, ConstTensorView x, ConstTensorView slot,
                            TensorView d) {
  CheckGatherDot(a, x, slot, d, Indices::kOnDevice);
  const int64_t slots = slot.elements(), width = x.dim(1);
  if (slots == 0) return;
  WithRowPacks(a.dtype, width, {a.data, x.data}, [&]<typename T, int kPack, bool kAligned>() {
    Launch(queue_, "GatherDot", GroupsOf(slots, kRowsOfBlock), dim3(kWarp, kRowsOfBlock),
           GatherDotKernel<T, kPack, kAligned>, a.as<T>(), OrNull<T>(x), slot.as<int32_t>(),
           d.as<float>(), slots, static_cast<int>(width), static_cast<unsigned>(slot.dim(1)));
  });
}

}  // namespace weft
