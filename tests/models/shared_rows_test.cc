// What the members of an MP group gather and add up, piece by piece.

#include "models/transformer/shared_rows.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <vector>

#include "base/status_macros.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

constexpr int32_t kMembers = 3;
constexpr int64_t kTokens = 10;
constexpr int64_t kWidth = 4;
constexpr RowRange kPieces[] = {{0, 3}, {3, 4}, {4, 10}};

float ValueOf(int64_t member, int64_t row, int64_t column) {
  return static_cast<float>((member * kTokens + row) * kWidth + column);
}

// Runs fn on every member, with its own rows [kTokens, kWidth].
void OnEveryMember(
    const std::function<absl::Status(SharedRows&, int32_t member, TensorView own)>& fn) {
  const absl::Status status = SpawnRanks(kMembers, [&](Backend& backend) -> absl::Status {
    ModelContext context;
    context.spec.hidden_size = kWidth;
    context.layout = {1, kMembers, 1, kMembers};
    context.rank = RankId{backend.rank()};
    context.batch = {2, kTokens / 2, 1, 2 * kMembers};
    const std::vector<RankId> all = {RankId{0}, RankId{1}, RankId{2}};
    WEFT_ASSIGN_OR_RETURN(const auto mp, backend.Connect("mp", all, absl::Seconds(30)));
    context.mp = mp.get();
    const std::unique_ptr<Kernels> kernels = MakeReferenceKernels();
    context.kernels = kernels.get();
    SharedRows rows(context);
    EXPECT_EQ(rows.members(), kMembers);
    EXPECT_EQ(rows.rows(), kMembers * kTokens);
    std::vector<float> own;
    for (int64_t i = 0; i < kTokens * kWidth; ++i)
      own.push_back(ValueOf(backend.rank(), i / kWidth, i % kWidth));
    return fn(rows, backend.rank(), View(own.data(), {kTokens, kWidth}));
  });
  EXPECT_TRUE(status.ok()) << status;
}

TEST(SharedRowsTest, PiecesAreGatheredMemberByMember) {
  OnEveryMember([](SharedRows& rows, int32_t, TensorView own) -> absl::Status {
    std::vector<float> gathered(kMembers * kTokens * kWidth, -1.0f);
    for (const RowRange& piece : kPieces) {
      double size = 0;
      WEFT_RETURN_IF_ERROR(
          rows.Gather(piece, own, View(gathered.data(), {kMembers * kTokens, kWidth}), &size));
      EXPECT_EQ(size, static_cast<double>(4 * (kMembers - 1) * piece.count() * kWidth));
      for (int32_t member = 0; member < kMembers; ++member) {
        for (int64_t row = 0; row < kTokens; ++row) {
          const bool there = row < piece.end;
          const int64_t at = rows.of(member, {row, row + 1}).begin;
          for (int64_t column = 0; column < kWidth; ++column) {
            EXPECT_EQ(gathered[static_cast<size_t>(at * kWidth + column)],
                      there ? ValueOf(member, row, column) : -1.0f)
                << "row " << row << " of member " << member;
          }
        }
      }
    }
    return absl::OkStatus();
  });
}

// Member m adds (m + 1) times the row: six times each row comes back.
TEST(SharedRowsTest, PartialSumsComeHomeAddedUp) {
  OnEveryMember([](SharedRows& rows, int32_t own_member, TensorView own) -> absl::Status {
    for (size_t i = std::size(kPieces); i-- > 0;) {  // as the backward runs them
      const RowRange piece = kPieces[i];
      for (int32_t member = 0; member < kMembers; ++member) {
        const TensorView partial = rows.Partial(member, piece);
        EXPECT_EQ(partial.dim(0), piece.count());
        for (int64_t k = 0; k < partial.elements(); ++k) {
          partial.as<float>()[k] = static_cast<float>(own_member + 1) *
                                   ValueOf(member, piece.begin + k / kWidth, k % kWidth);
        }
      }
      double size = 0;
      WEFT_RETURN_IF_ERROR(rows.Scatter(piece, own, &size));
      EXPECT_EQ(size, static_cast<double>(4 * (kMembers - 1) * piece.count() * kWidth));
    }
    for (int64_t k = 0; k < own.elements(); ++k)
      EXPECT_EQ(own.as<float>()[k], 6 * ValueOf(own_member, k / kWidth, k % kWidth));
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace weft
