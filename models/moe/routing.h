#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/expert_placement.h"
#include "graph/topology.h"
#include "tensor/row_range.h"

// Who sends how many rows to whom, for any cut of a layer, from row counts alone (exact sizes,
// nothing padded).
//
// An expert that works on several members has a slot on each (graph/expert_placement.h); here every
// slot is an expert of its own. A rank's rows for slot e form block e, in (token, choice) order. A
// chunk takes a range of every block. Two cuts: `rows`, chunk i of r of a block of n rows is rows
// [i * n / r, (i + 1) * n / r); `tokens`, a chunk is a range of the rank's tokens and takes the
// rows that these send. Sender and receiver derive every size of every chunk from the same counts
// (models/moe/layer_cut.h). Orders of rows:
//   send order    (on the source):      [chunk][expert][row]: what one chunk's all-to-all sends is
//                                       contiguous
//   arrival order (on the destination): [chunk][esp member][ep member][local expert][row], after
//                                       the ESP all-gather
//   kept order    (on the destination): [chunk][local expert][source rank ascending][row]: what a
//                                       chunk's products read and write is contiguous
// and one that no cut changes:
//   saved order                         [local expert][source rank ascending][row]
//
// Chunks are appended one after another, some while earlier ones are on their way: appending a
// chunk writes nothing that concerns the ones before it.

namespace weft {

// The source's side of one direction of a layer.
class SendOrder {
 public:
  // Makes room; chunks are to be appended again. REQUIRES: nobody reads.
  void Prepare(const ExpertPlacement& placement, int32_t degree);
  // rows [slots]: what chunk `chunk` takes of every block. REQUIRES: chunks come in order.
  void Append(int32_t chunk, std::span<const RowRange> rows);

  int32_t degree() const { return degree_; }
  int64_t chunk_begin(int32_t chunk) const { return chunk_begin_[static_cast<size_t>(chunk)]; }
  int64_t chunk_rows(int32_t chunk) const { return chunk_begin(chunk + 1) - chunk_begin(chunk); }
  // Rows of a chunk for every EP member.
  std::span<const int64_t> rows_to(int32_t chunk) const {
    return {rows_to_.data() + static_cast<size_t>(chunk) * ep_, ep_};
  }
  // The rows of a slot's block that a chunk takes, and where in send order they begin.
  RowRange block_rows(int32_t chunk, int32_t slot) const { return block(chunk, slot).rows; }
  int64_t block_begin(int32_t chunk, int32_t slot) const { return block(chunk, slot).begin; }

 private:
  struct Block {
    RowRange rows;
    int64_t begin = 0;
  };
  size_t slots() const { return member_of_.size(); }
  const Block& block(int32_t chunk, int32_t slot) const {
    return blocks_[static_cast<size_t>(chunk) * slots() + static_cast<size_t>(slot)];
  }

  int32_t degree_ = 1;
  size_t ep_ = 1;
  std::vector<int32_t> member_of_;    // [slots]
  std::vector<int64_t> chunk_begin_;  // [degree + 1]
  std::vector<int64_t> rows_to_;      // [degree][ep]
  std::vector<Block> blocks_;         // [degree][slots]
};

// What a chunk takes of one (source, local expert): contiguous in arrival order and in kept order.
struct RowRun {
  int64_t arrival = 0;  // from the beginning of the chunk
  int64_t kept = 0;     // from the beginning of the chunk
  RowRange rows;        // of the block
};

// The destination's side of one direction of a layer.
class ArrivalOrder {
 public:
  void Prepare(const Layout& layout, int32_t local_experts, int32_t esp_index, int32_t degree);
  // rows [esp][ep][local experts]: what the chunk takes of every source's blocks for this rank's
  // experts. REQUIRES: chunks come in order.
  void Append(int32_t chunk, std::span<const RowRange> rows);

  int32_t degree() const { return degree_; }
  // Rows of a chunk before the ESP all-gather (from the EP group), and after it.
  int64_t received_rows(int32_t chunk) const { return received_rows_[static_cast<size_t>(chunk)]; }
  int64_t arrival_rows(int32_t chunk) const { return arrival_rows_[static_cast<size_t>(chunk)]; }
  // Rows of a chunk from every EP member, and gathered from every ESP member.
  std::span<const int64_t> rows_from(int32_t chunk) const {
    return {rows_from_.data() + static_cast<size_t>(chunk) * ep_, ep_};
  }
  std::span<const int64_t> rows_gathered(int32_t chunk) const {
    return {rows_gathered_.data() + static_cast<size_t>(chunk) * esp_, esp_};
  }
  // A local expert's rows in a chunk, by ascending source rank: [ep * esp].
  std::span<const RowRun> runs(int32_t chunk, int32_t local_expert) const;
  // ... which in kept order are these rows of the chunk.
  RowRange kept_rows(int32_t chunk, int32_t local_expert) const;
  // Whether a chunk's arrival order is its kept order: of one source it always is; for one expert,
  // where one of EP and ESP is 1.
  bool arrives_in_kept_order(int32_t chunk) const;

 private:
  int32_t degree_ = 1;
  size_t ep_ = 1, esp_ = 1, local_ = 0, me_ = 0;
  std::vector<int64_t> received_rows_, arrival_rows_;  // [degree]
  std::vector<int64_t> rows_from_;                     // [degree][ep]
  std::vector<int64_t> rows_gathered_;                 // [degree][esp]
  std::vector<RowRun> runs_;                           // [degree][local][ep * esp]
};

// Where rows stand that are saved for the weight gradients, over all chunks.
class SavedOrder {
 public:
  // rows [esp][ep][local experts]: of the whole layer.
  void Build(std::span<const int64_t> rows, const Layout& layout, int32_t local_experts);

  int64_t total_rows() const { return begin_.back(); }
  // First row of the block of (local expert, source); sources ascend as in runs().
  int64_t begin(int32_t local_expert, size_t source) const {
    return begin_[static_cast<size_t>(local_expert) * sources_ + source];
  }
  RowRange rows(int32_t local_expert) const {
    return {begin(local_expert, 0), begin(local_expert + 1, 0)};
  }

 private:
  size_t sources_ = 1;
  std::vector<int64_t> begin_ = {0};  // [local * sources + 1]
};

}  // namespace weft
