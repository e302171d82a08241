#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/topology.h"
#include "tensor/row_range.h"

// Who sends how many rows to whom, for any pipeline degree, from row counts alone (exact sizes,
// nothing padded).
//
// A rank's rows for expert e form block e; chunk i of r of a block of n rows is rows [i * n / r, (i
// + 1) * n / r). Sender and receiver derive every size of every chunk, forward and backward, from
// the n's. Two orders of rows appear:
//   send order    (on the source):      [chunk][expert][row]: what one chunk's all-to-all sends is
//   contiguous arrival order (on the destination): [chunk][esp member][ep member][local
//   expert][row], after the ESP all-gather
// and one order for what is saved for the backward, which no degree changes:
//   saved order   [local expert][source rank ascending][row]

namespace weft {

// The source's side for one degree.
class SendOrder {
 public:
  // counts [experts]: this rank's rows per expert.
  void Build(std::span<const int32_t> counts, const Layout& layout, int32_t degree);

  int32_t degree() const { return degree_; }
  int64_t chunk_begin(int32_t chunk) const { return chunk_begin_[static_cast<size_t>(chunk)]; }
  int64_t chunk_rows(int32_t chunk) const { return chunk_begin(chunk + 1) - chunk_begin(chunk); }
  // Rows of a chunk for every EP member.
  std::span<const int64_t> rows_to(int32_t chunk) const {
    return {rows_to_.data() + static_cast<size_t>(chunk) * ep_, ep_};
  }
  // Position in send order of row `row` of expert `expert`'s block.
  int64_t Position(int32_t expert, int64_t row) const;

 private:
  int32_t degree_ = 1;
  size_t ep_ = 1;
  size_t experts_ = 0;
  std::vector<int32_t> counts_;
  std::vector<int64_t> chunk_begin_;  // [degree + 1]
  std::vector<int64_t> rows_to_;      // [degree][ep]
  std::vector<int64_t>
      block_begin_;  // [degree][experts]: send-order position of the chunk's part of block e
};

// A run of rows that is contiguous in arrival order and in saved order.
struct RowRun {
  int64_t arrival = 0;
  int64_t saved = 0;
  int64_t count = 0;
};

// The destination's side for one degree.
class ArrivalOrder {
 public:
  // counts [esp][ep][local experts]: rows of every source for this rank's experts.
  void Build(std::span<const int32_t> counts, const Layout& layout, int32_t local_experts,
             int32_t esp_index, int32_t degree);

  int64_t total_rows() const { return total_rows_; }        // after the ESP all-gather
  int64_t received_rows() const { return received_rows_; }  // before it: from the EP group
  int64_t received_begin(int32_t chunk) const {
    return received_begin_[static_cast<size_t>(chunk)];
  }
  int64_t arrival_begin(int32_t chunk) const { return arrival_begin_[static_cast<size_t>(chunk)]; }
  int64_t received_rows(int32_t chunk) const {
    return received_begin(chunk + 1) - received_begin(chunk);
  }
  int64_t arrival_rows(int32_t chunk) const {
    return arrival_begin(chunk + 1) - arrival_begin(chunk);
  }
  // Rows of a chunk from every EP member, and gathered from every ESP member.
  std::span<const int64_t> rows_from(int32_t chunk) const {
    return {rows_from_.data() + static_cast<size_t>(chunk) * ep_, ep_};
  }
  std::span<const int64_t> rows_gathered(int32_t chunk) const {
    return {rows_gathered_.data() + static_cast<size_t>(chunk) * esp_, esp_};
  }
  // The runs of a local expert's rows in a chunk, by ascending source rank. RowRun::saved counts
  // over all experts.
  std::span<const RowRun> runs(int32_t chunk, int32_t local_expert) const;
  // Saved rows [begin, end) of a local expert.
  RowRange saved_rows(int32_t local_expert) const {
    return {saved_begin_[static_cast<size_t>(local_expert)],
            saved_begin_[static_cast<size_t>(local_expert) + 1]};
  }

 private:
  size_t ep_ = 1, esp_ = 1, local_ = 0;
  int64_t total_rows_ = 0, received_rows_ = 0;
  std::vector<int64_t> received_begin_, arrival_begin_;  // [degree + 1]
  std::vector<int64_t> rows_from_;                       // [degree][ep]
  std::vector<int64_t> rows_gathered_;                   // [degree][esp]
  std::vector<int64_t> saved_begin_;                     // [local + 1]
  std::vector<RowRun> runs_;                             // [degree][local][ep * esp]
  std::vector<int64_t> saved_of_run_;                    // [local][ep * esp]
};

}  // namespace weft
