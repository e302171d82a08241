#include <algorithm>

#include "tensor/device/cuda/launch.h"
#include "tensor/kernels/check_args.h"
#include "tensor/kernels/cuda/cuda_kernels.h"

// The order of rows: counted by tiles of tokens, since a row's number is how many come before it.
// Integers alone, in a fixed order.

namespace weft {
namespace {

constexpr unsigned kThreads = 256;
constexpr int kTile = kAttentionTile;  // tokens
constexpr int kMostChoices = 32;       // of a token

// The tiles of a piece: every sequence that it touches begins with one. Tiles may be empty.
struct Tiles {
  int64_t first_token, tokens;  // of the piece
  int64_t length;
  int64_t of_sequence;  // tiles
  int64_t count;

  // First token and end of a tile, in the piece.
  __device__ int64_t Begin(int64_t tile) const { return Inside(Start(tile)); }
  __device__ int64_t End(int64_t tile) const {
    const int64_t within = tile % of_sequence * kTile + kTile;
    const int64_t sequence = first_token / length + tile / of_sequence;
    return Inside(sequence * length + (within < length ? within : length));
  }
  // First token of all tokens.
  __device__ int64_t Start(int64_t tile) const {
    return (first_token / length + tile / of_sequence) * length + tile % of_sequence * kTile;
  }

 private:
  __device__ int64_t Inside(int64_t token) const {
    const int64_t at = token - first_token;
    return at < 0 ? 0 : at > tokens ? tokens : at;
  }
};

// A block for each tile: how often its tokens have chosen every expert.
__global__ void CountChoicesKernel(const int32_t* experts_of, Tiles tiles, int64_t top_k,
                                   int64_t experts, int32_t* counts) {
  __shared__ int32_t chosen[kTile * kMostChoices];
  const int64_t begin = tiles.Begin(blockIdx.x) * top_k;
  const int64_t choices = tiles.End(blockIdx.x) * top_k - begin;
  for (int64_t i = threadIdx.x; i < choices; i += kThreads) chosen[i] = experts_of[begin + i];
  __syncthreads();
  for (int64_t e = threadIdx.x; e < experts; e += kThreads) {
    int32_t count = 0;
    for (int64_t i = 0; i < choices; ++i) count += chosen[i] == e ? 1 : 0;
    counts[blockIdx.x * experts + e] = count;
  }
}

struct Assignment {
  const int32_t* slots_begin;
  const int32_t* slots;
  const int32_t* segment_ends;
  int64_t experts, all_slots, segments, capacity;
  int32_t turn;
};

// A thread for each expert: from counts of the tiles to what comes before each: choices of its
// sequence (`before`, in place of the counts), and rows that are kept.
__global__ void SumTilesKernel(Tiles tiles, Assignment to, int32_t* before, int32_t* kept_before,
                               int32_t* kept, int32_t* chosen, int32_t* counts) {
  const int64_t e = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (e >= to.experts) return;
  const int32_t first = to.slots_begin[e];
  const int32_t slots = to.slots_begin[e + 1] - first;
  int32_t rows = kept[e];
  int32_t of_sequence = chosen[e];
  int64_t segment = 0;
  for (int64_t tile = 0; tile < tiles.count; ++tile) {
    if (tiles.Begin(tile) == tiles.End(tile)) continue;
    const int64_t start = tiles.Start(tile);
    if (start % tiles.length == 0) of_sequence = 0;
    while (to.segment_ends[segment] <= start) ++segment;
    const int64_t at = tile * to.experts + e;
    const int32_t count = before[at];
    before[at] = of_sequence;
    kept_before[at] = rows;
    const int64_t room = to.capacity > of_sequence ? to.capacity - of_sequence : 0;
    const int32_t fits = count < room ? count : static_cast<int32_t>(room);
    of_sequence += count;
    // Of rows [rows, rows + fits), dealt out in turn.
    for (int32_t i = 0; i < slots && i < fits; ++i) {
      const int32_t slot = to.slots[first + (to.turn + rows + i) % slots];
      counts[segment * to.all_slots + slot] += (fits - i + slots - 1) / slots;
    }
    rows += fits;
  }
  kept[e] = rows;
  chosen[e] = of_sequence;
}

// A block for each tile.
__global__ void AssignRowsKernel(const int32_t* experts_of, Tiles tiles, int64_t top_k,
                                 Assignment to, const int32_t* before, const int32_t* kept_before,
                                 int32_t* slot_of, int32_t* row_of) {
  __shared__ int32_t chosen[kTile * kMostChoices];
  const int64_t begin = tiles.Begin(blockIdx.x) * top_k;
  const int64_t choices = tiles.End(blockIdx.x) * top_k - begin;
  for (int64_t i = threadIdx.x; i < choices; i += kThreads) chosen[i] = experts_of[begin + i];
  __syncthreads();
  for (int64_t i = threadIdx.x; i < choices; i += kThreads) {
    const int32_t e = chosen[i];
    int32_t rank = 0;
    for (int64_t j = 0; j < i; ++j) rank += chosen[j] == e ? 1 : 0;
    const int64_t at = blockIdx.x * to.experts + e;
    const bool fits = before[at] + rank < to.capacity;
    const int32_t first = to.slots_begin[e];
    const int32_t slots = to.slots_begin[e + 1] - first;
    const int32_t n = kept_before[at] + rank;
    slot_of[begin + i] = fits ? to.slots[first + (to.turn + n) % slots] : 0;
    row_of[begin + i] = fits ? n / slots : -1;
  }
}

struct Tables {
  const int32_t* ends;
  const int32_t* shifts;
  int64_t slots;
};

__global__ void PlaceRowsKernel(const int32_t* slot_of, const int32_t* row_of, Tables tables,
                                int64_t choices, int64_t first_choice, int64_t top_k,
                                int32_t* place, int32_t* token, int32_t* choice) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= choices) return;
  const int32_t row = row_of[i];
  if (row < 0) {
    place[i] = -1;
    return;
  }
  int64_t at = slot_of[i];
  while (tables.ends[at] <= row) at += tables.slots;
  const int32_t to = row + tables.shifts[at];
  place[i] = to;
  token[to] = static_cast<int32_t>((first_choice + i) / top_k);
  choice[to] = static_cast<int32_t>(first_choice + i);
}

}  // namespace

void CudaKernels::AssignRows(const AssignRowsArgs& args) {
  CheckAssignRows(args, Indices::kOnDevice);
  const int64_t tokens = args.experts.dim(0), top_k = args.experts.dim(1);
  const int64_t experts = args.kept.elements();
  WEFT_CHECK(top_k <= kMostChoices, "order: a token chooses at most 32 experts on this device");
  if (tokens == 0) return;
  Tiles tiles = {args.first_token, tokens, args.length, (args.length + kTile - 1) / kTile, 0};
  const int64_t sequences =
      (args.first_token + tokens - 1) / args.length - args.first_token / args.length + 1;
  tiles.count = sequences * tiles.of_sequence;
  int32_t* const before = scratch_.Ensure<int32_t>({2 * tiles.count * experts}).as<int32_t>();
  int32_t* const kept_before = before + tiles.count * experts;
  const Assignment to = {args.slots_begin.as<int32_t>(),
                         args.slots.as<int32_t>(),
                         args.segment_ends.as<int32_t>(),
                         experts,
                         args.counts.dim(1),
                         args.counts.dim(0),
                         args.capacity,
                         args.turn};
  const auto blocks = static_cast<unsigned>(tiles.count);
  Launch(queue_, "CountChoices", blocks, kThreads, CountChoicesKernel, args.experts.as<int32_t>(),
         tiles, top_k, experts, before);
  Launch(queue_, "SumTiles", GroupsOf(experts, kThreads), kThreads, SumTilesKernel, tiles, to,
         before, kept_before, args.kept.as<int32_t>(), args.chosen.as<int32_t>(),
         args.counts.as<int32_t>());
  Launch(queue_, "AssignRows", blocks, kThreads, AssignRowsKernel, args.experts.as<int32_t>(),
         tiles, top_k, to, before, kept_before, args.slot.as<int32_t>(), args.row.as<int32_t>());
}

void CudaKernels::PlaceRows(const PlaceRowsArgs& args) {
  CheckPlaceRows(args);
  const int64_t choices = args.slot.elements(), top_k = args.slot.dim(1);
  const Tables tables = {args.ends.as<int32_t>(), args.shifts.as<int32_t>(), args.ends.dim(1)};
  Launch(queue_, "PlaceRows", GroupsOf(choices, kThreads), kThreads, PlaceRowsKernel,
         args.slot.as<int32_t>(), args.row.as<int32_t>(), tables, choices, args.first_token * top_k,
         top_k, args.place.as<int32_t>(), args.token.as<int32_t>(), args.choice.as<int32_t>());
}

}  // namespace weft
