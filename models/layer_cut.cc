#include "models/layer_cut.h"

#include <algorithm>

#include "tensor/kernels/attention_tile.h"

namespace weft {

int32_t BlockPieces(const BatchShape& batch) {
  const bool in_tiles = batch.length % kAttentionTile == 0 && !batch.whole_sequences;
  return static_cast<int32_t>(in_tiles ? batch.tokens() / kAttentionTile : batch.sequences);
}

LayerCut::LayerCut(const BatchShape& batch, DirectionCut forward, DirectionCut backward)
    : forward_(forward),
      backward_(backward),
      pieces_(BlockPieces(batch)),
      piece_tokens_(batch.tokens() / pieces_) {
  for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
    for (int32_t i = 0; i < of(direction).pieces(); ++i) ends_.push_back(tokens(direction, i).end);
  }
  std::sort(ends_.begin(), ends_.end());
  ends_.erase(std::unique(ends_.begin(), ends_.end()), ends_.end());
}

RowRange LayerCut::tokens(Direction direction, int32_t piece) const {
  const int32_t pieces = of(direction).pieces();
  const bool forward = direction == Direction::kForward;
  const RowRange range = ChunkOf(pieces_, forward ? piece : pieces - 1 - piece, pieces);
  return {range.begin * piece_tokens_, range.end * piece_tokens_};
}

RowRange LayerCut::chunks_of(Direction direction, int32_t piece) const {
  const DirectionCut& cut = of(direction);
  return cut.block ? RowRange{piece, piece + 1} : RowRange{0, cut.degree};
}

RowRange LayerCut::segments_of(Direction direction, int32_t piece) const {
  const RowRange range = tokens(direction, piece);
  const auto until = [this](int64_t token) {
    return std::upper_bound(ends_.begin(), ends_.end(), token) - ends_.begin();
  };
  return {until(range.begin), until(range.end)};
}

RowRange LayerCut::rows(Direction direction, int32_t chunk, std::span<const int32_t> counts,
                        size_t stride) const {
  const DirectionCut& cut = of(direction);
  const RowRange segments =
      cut.block ? segments_of(direction, chunk) : RowRange{0, this->segments()};
  RowRange rows;
  for (int64_t i = 0; i < segments.end; ++i) {
    const int32_t count = counts[static_cast<size_t>(i) * stride];
    if (i < segments.begin) rows.begin += count;
    rows.end += count;
  }
  return cut.block ? rows : ChunkOf(rows.end, chunk, cut.degree);
}

}  // namespace weft
