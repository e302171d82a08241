#include "tensor/kernels/cuda/token_order.h"

#include <cuda_runtime.h>

#include <bit>
#include <utility>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/cuda/reduce.h"

// Least significant digit first: each pass counts the digits of each block's chunk, adds up what
// comes before each (digit, chunk), and puts every item behind those of its digit that it follows.

namespace weft {
namespace {

constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
constexpr int kWarps = 8;
constexpr unsigned kThreads = kWarps * kWarp;
static_assert(kThreads == kDigits, "a thread for each digit where digits are added up");
constexpr int64_t kOfWarp = 256;              // neighbouring items of a warp
constexpr int64_t kChunk = kOfWarp * kWarps;  // of a block

struct Items {
  const int32_t* tokens;
  const int32_t* rows;  // null: item i is of row i
  int64_t count;
};

// f(item, digit, same) for the items of this warp in their order, 32 at a time; all lanes call it.
// `item` is -1 where there is none; `same`: the lanes whose items have this digit.
template <typename F>
__device__ __forceinline__ void EachItem(const Items& items, int shift, F f) {
  const int64_t first = blockIdx.x * kChunk + threadIdx.x / kWarp * kOfWarp;
  for (int64_t i = first; i < first + kOfWarp && i < items.count; i += kWarp) {
    const int64_t item = i + threadIdx.x % kWarp;
    const bool there = item < items.count;
    const int digit = there ? items.tokens[item] >> shift & (kDigits - 1) : kDigits;
    f(there ? item : -1, digit, __match_any_sync(kAllLanes, digit));
  }
}

// How often each digit occurs in each warp's items.
__device__ __forceinline__ void CountDigits(const Items& items, int shift,
                                            int (&counts)[kWarps][kDigits]) {
  for (int i = static_cast<int>(threadIdx.x); i < kWarps * kDigits; i += kThreads)
    counts[i / kDigits][i % kDigits] = 0;
  __syncthreads();
  const unsigned warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  EachItem(items, shift, [&](int64_t item, int digit, unsigned same) {
    const bool first = (same & ((1u << lane) - 1)) == 0;
    if (item >= 0 && first) counts[warp][digit] += __popc(same);
    __syncwarp();
  });
  __syncthreads();
}

// counts: [digits, chunks].
__global__ void CountKernel(Items items, int shift, int* counts) {
  __shared__ int of_warps[kWarps][kDigits];
  CountDigits(items, shift, of_warps);
  int sum = 0;
  for (int warp = 0; warp < kWarps; ++warp) sum += of_warps[warp][threadIdx.x];
  counts[int64_t{threadIdx.x} * gridDim.x + blockIdx.x] = sum;
}

// In place: what comes before each (digit, chunk). One block, a thread for each digit.
__global__ void StartKernel(int* counts, int chunks) {
  __shared__ int totals[kDigits];
  int* const own = counts + int64_t{threadIdx.x} * chunks;
  int total = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) total += own[chunk];
  totals[threadIdx.x] = total;
  __syncthreads();
  int start = 0;
  for (unsigned digit = 0; digit < threadIdx.x; ++digit) start += totals[digit];
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const int count = own[chunk];
    own[chunk] = start;
    start += count;
  }
}

__global__ void PlaceKernel(Items items, int shift, const int* starts, int32_t* tokens,
                            int32_t* rows) {
  __shared__ int next[kWarps][kDigits];  // where a warp's next item of a digit goes
  CountDigits(items, shift, next);
  int start = starts[int64_t{threadIdx.x} * gridDim.x + blockIdx.x];
  for (int warp = 0; warp < kWarps; ++warp) {
    const int count = next[warp][threadIdx.x];
    next[warp][threadIdx.x] = start;
    start += count;
  }
  __syncthreads();
  const unsigned warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  EachItem(items, shift, [&](int64_t item, int digit, unsigned same) {
    const int before = __popc(same & ((1u << lane) - 1));
    if (item >= 0) {
      const int to = next[warp][digit] + before;
      tokens[to] = items.tokens[item];
      rows[to] = items.rows == nullptr ? static_cast<int32_t>(item) : items.rows[item];
    }
    __syncwarp();  // all have read where to begin
    if (item >= 0 && before == 0) next[warp][digit] += __popc(same);
    __syncwarp();
  });
}

}  // namespace

TokenOrder OrderTokens(CudaQueue& queue, Buffer& scratch, const int32_t* tokens, int64_t count,
                       int64_t vocabulary) {
  const unsigned chunks = GroupsOf(count, kChunk);
  int32_t* const room =
      scratch.Ensure<int32_t>({4 * count + int64_t{kDigits} * chunks}).as<int32_t>();
  int32_t* to = room;  // tokens, then rows
  int32_t* other = room + 2 * count;
  int* const counts = room + 4 * count;
  const int bits = std::bit_width(static_cast<uint64_t>(vocabulary - 1));
  Items items = {tokens, nullptr, count};
  for (int shift = 0; shift == 0 || shift < bits; shift += kDigitBits) {
    Launch(queue, "CountTokens", chunks, kThreads, CountKernel, items, shift, counts);
    Launch(queue, "StartTokens", 1, kThreads, StartKernel, counts, static_cast<int>(chunks));
    Launch(queue, "PlaceTokens", chunks, kThreads, PlaceKernel, items, shift, counts, to,
           to + count);
    items = {to, to + count, count};
    std::swap(to, other);
  }
  return {items.tokens, items.rows};
}

}  // namespace weft
