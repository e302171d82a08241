#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"
#include "graph/cost_key.h"
#include "models/batch_shape.h"
#include "tensor/row_range.h"

namespace weft {

// How a plan cuts one direction of a layer.
struct DirectionCut {
  int32_t degree = 1;  // chunks of the pipeline
  // The block enters the pipeline: attention, router and unpermute are cut along the tokens, and a
  // chunk is what a range of tokens sends. Otherwise they run whole, and chunks take rows.
  bool block = false;

  int32_t pieces() const { return block ? degree : 1; }  // of the operations beside the pipeline
};

// The finest pieces that a block can be cut into: attention is causal, so tiles of tokens where the
// length is a multiple of the tile and the device's attention takes them, otherwise whole
// sequences.
int32_t BlockPieces(const BatchShape& batch);

// Which tokens and rows the pieces and chunks of a layer have, in both directions. The backward of
// causal attention needs what later tokens add to keys and values: its pieces run from the last
// tokens to the first. Sources count their rows by segment, the tokens between two cuts of either
// direction, so that one exchange of counts tells the sizes of both.
class LayerCut {
 public:
  LayerCut() = default;
  LayerCut(const BatchShape& batch, DirectionCut forward, DirectionCut backward);

  const DirectionCut& of(Direction direction) const {
    return direction == Direction::kForward ? forward_ : backward_;
  }
  // REQUIRES: 0 <= piece < of(direction).pieces().
  RowRange tokens(Direction direction, int32_t piece) const;

  // The chunks that a piece of the operations beside the pipeline feeds: its own when the block is
  // cut, otherwise all.
  RowRange chunks_of(Direction direction, int32_t piece) const;

  int32_t segments() const { return static_cast<int32_t>(ends_.size()); }
  int64_t segment_end(int32_t segment) const { return ends_[static_cast<size_t>(segment)]; }
  RowRange segments_of(Direction direction, int32_t piece) const;

  // The rows that a chunk takes of a block with `counts`[i * stride] rows from segment i. Segments
  // behind the chunk are not read when the block is cut along the tokens.
  RowRange rows(Direction direction, int32_t chunk, std::span<const int32_t> counts,
                size_t stride) const;

 private:
  DirectionCut forward_, backward_;
  int64_t pieces_ = 1;         // BlockPieces
  int64_t piece_tokens_ = 0;   // of each
  std::vector<int64_t> ends_;  // of the segments, in tokens
};

}  // namespace weft
