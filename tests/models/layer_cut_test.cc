#include "models/layer_cut.h"

#include <gtest/gtest.h>

#include <vector>

namespace weft {
namespace {

constexpr Direction kDirections[] = {Direction::kForward, Direction::kBackward};

TEST(BlockPiecesTest, TilesOfTokensOrWholeSequences) {
  EXPECT_EQ(BlockPieces({4, 128, 1, 4}), 8);
  EXPECT_EQ(BlockPieces({1, 64, 1, 1}), 1);
  EXPECT_EQ(BlockPieces({4, 100, 1, 4}), 4);  // 100 is no multiple of the tile
  EXPECT_EQ(BlockPieces({4, 128, 1, 4, /*whole_sequences=*/true}), 4);
}

TEST(LayerCutTest, WholeBlocksHaveOnePieceAndOneSegment) {
  const LayerCut cut({2, 128, 1, 2}, {4, false}, {3, false});
  EXPECT_EQ(cut.segments(), 1);
  const std::vector<int32_t> counts = {10};
  for (const Direction direction : kDirections) {
    EXPECT_EQ(cut.of(direction).pieces(), 1);
    EXPECT_EQ(cut.tokens(direction, 0), (RowRange{0, 256}));
    EXPECT_EQ(cut.chunks_of(direction, 0), (RowRange{0, cut.of(direction).degree}));
  }
  EXPECT_EQ(cut.rows(Direction::kForward, 1, counts, 1), (RowRange{2, 5}));
  EXPECT_EQ(cut.rows(Direction::kBackward, 2, counts, 1), (RowRange{6, 10}));
}

TEST(LayerCutTest, TheBackwardBeginsWithTheLastTokens) {
  const LayerCut cut({1, 256, 1, 1}, {4, true}, {2, true});
  EXPECT_EQ(cut.tokens(Direction::kForward, 0), (RowRange{0, 64}));
  EXPECT_EQ(cut.tokens(Direction::kBackward, 0), (RowRange{128, 256}));
  EXPECT_EQ(cut.tokens(Direction::kBackward, 1), (RowRange{0, 128}));
  const std::vector<int32_t> counts = {1, 2, 3, 4};
  EXPECT_EQ(cut.rows(Direction::kForward, 2, counts, 1), (RowRange{3, 6}));
  EXPECT_EQ(cut.rows(Direction::kBackward, 0, counts, 1), (RowRange{3, 10}));
  EXPECT_EQ(cut.rows(Direction::kBackward, 1, counts, 1), (RowRange{0, 3}));
}

// Whatever the cuts: pieces partition the tokens at tiles, segments refine both directions, and the
// chunks of a direction partition every block.
TEST(LayerCutTest, PiecesSegmentsAndChunksPartition) {
  for (const BatchShape& batch :
       {BatchShape{3, 128, 1, 3}, BatchShape{5, 12, 1, 5}, BatchShape{5, 64, 1, 5, true}}) {
    for (int32_t forward = 1; forward <= 5; ++forward) {
      for (int32_t backward = 1; backward <= 5; ++backward) {
        for (int32_t blocks = 0; blocks < 4; ++blocks) {
          const LayerCut cut(batch, {forward, blocks % 2 == 1}, {backward, blocks / 2 == 1});
          std::vector<int32_t> counts;
          int64_t total = 0;
          for (int32_t s = 0; s < cut.segments(); ++s) {
            counts.push_back(s * s % 5);
            total += counts.back();
          }
          EXPECT_EQ(cut.segment_end(cut.segments() - 1), batch.tokens());
          for (const Direction direction : kDirections) {
            int64_t tokens = 0;
            const int32_t pieces = cut.of(direction).pieces();
            for (int32_t i = 0; i < pieces; ++i) {
              const int32_t piece = direction == Direction::kForward ? i : pieces - 1 - i;
              const RowRange range = cut.tokens(direction, piece);
              EXPECT_EQ(range.begin, tokens);
              EXPECT_EQ(range.end % (batch.length % 64 == 0 ? 64 : batch.length), 0);
              const RowRange segments = cut.segments_of(direction, piece);
              EXPECT_EQ(cut.segment_end(static_cast<int32_t>(segments.end) - 1), range.end);
              tokens = range.end;
            }
            EXPECT_EQ(tokens, batch.tokens());
            int64_t rows = 0;
            for (int32_t chunk = 0; chunk < cut.of(direction).degree; ++chunk)
              rows += cut.rows(direction, chunk, counts, 1).count();
            EXPECT_EQ(rows, total);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace weft
