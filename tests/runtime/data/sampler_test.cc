#include "runtime/data/sampler.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <vector>

#include "runtime/data/indexed_dataset_writer.h"
#include "runtime/data/permutation.h"
#include "tests/runtime/test_directory.h"

namespace weft {
namespace {

// `tokens` ids 0, 1, 2, ... so that a window shows where it begins.
std::shared_ptr<const IndexedDataset> Counting(const TestDirectory& directory, int32_t tokens) {
  std::vector<int32_t> ids(static_cast<size_t>(tokens));
  std::iota(ids.begin(), ids.end(), 0);
  auto writer = IndexedDatasetWriter::Make(directory.File("d"), TokenType::kI32);
  EXPECT_TRUE(writer.ok() && writer->AddDocument(ids).ok() && writer->Commit().ok());
  auto dataset = IndexedDataset::Load(directory.File("d"));
  EXPECT_TRUE(dataset.ok());
  return *dataset;
}

TEST(Permutation, IsABijectionOfEverySize) {
  for (int64_t size = 1; size <= 70; ++size) {
    const Permutation permutation(/*key=*/9, size);
    std::set<int64_t> seen;
    for (int64_t i = 0; i < size; ++i) seen.insert(permutation.At(i));
    ASSERT_EQ(seen.size(), static_cast<size_t>(size));
    ASSERT_EQ(*seen.begin(), 0);
    ASSERT_EQ(*seen.rbegin(), size - 1);
  }
}

TEST(Permutation, SpreadsElementsOverPositions) {
  constexpr int64_t kSize = 10;
  constexpr int kKeys = 20000;
  std::vector<int> counts(kSize * kSize, 0);
  for (uint64_t key = 0; key < kKeys; ++key) {
    const Permutation permutation(key, kSize);
    for (int64_t i = 0; i < kSize; ++i) {
      ++counts[static_cast<size_t>(kSize * i + permutation.At(i))];
    }
  }
  for (const int count : counts) {  // expected 2000, standard deviation 42
    EXPECT_GT(count, 1750);
    EXPECT_LT(count, 2250);
  }
}

TEST(Sampler, ReadsEveryWindowOncePerPass) {
  const TestDirectory directory;
  const auto sampler =
      Sampler::Make(Counting(directory, 1 + 4 * 25 + 3), {SampleOrder::kShuffled, 7, 6, 4});
  ASSERT_TRUE(sampler.ok()) << sampler.status();
  ASSERT_EQ(sampler->windows(), 25);
  std::vector<int64_t> order;
  for (int64_t step = 0; step < 25; ++step) {  // 150 samples: six passes
    for (int32_t i = 0; i < 6; ++i) order.push_back(sampler->GlobalSample(step, i));
  }
  for (size_t pass = 0; pass < 6; ++pass) {
    const std::set<int64_t> seen(order.begin() + static_cast<ptrdiff_t>(25 * pass),
                                 order.begin() + static_cast<ptrdiff_t>(25 * (pass + 1)));
    EXPECT_EQ(seen.size(), 25u);
    EXPECT_EQ(*seen.rbegin(), 24);
  }
  EXPECT_FALSE(std::equal(order.begin(), order.begin() + 25, order.begin() + 25));
}

TEST(Sampler, DependsOnSeedAndStepAlone) {
  const TestDirectory directory;
  const auto dataset = Counting(directory, 1001);
  const auto first = Sampler::Make(dataset, {SampleOrder::kShuffled, 7, 8, 10});
  const auto resumed = Sampler::Make(dataset, {SampleOrder::kShuffled, 7, 8, 10});
  const auto other = Sampler::Make(dataset, {SampleOrder::kShuffled, 8, 8, 10});
  int differences = 0;
  for (int64_t step = 40; step-- > 0;) {  // any order of asking
    for (int32_t i = 0; i < 8; ++i) {
      EXPECT_EQ(first->GlobalSample(step, i), resumed->GlobalSample(step, i));
      differences += first->GlobalSample(step, i) != other->GlobalSample(step, i);
    }
  }
  EXPECT_GT(differences, 280);
}

TEST(Sampler, IsTheSameForEveryNumberOfRanks) {
  const TestDirectory directory;
  constexpr int32_t kBatch = 6;
  constexpr int32_t kLength = 5;
  const auto sampler =
      Sampler::Make(Counting(directory, 500), {SampleOrder::kShuffled, 1, kBatch, kLength});
  ASSERT_TRUE(sampler.ok());
  std::vector<int32_t> inputs(kBatch * kLength);
  std::vector<int32_t> targets(inputs.size());
  sampler->ReadBatch(3, {0, kBatch}, inputs, targets);
  for (size_t i = 0; i < inputs.size(); ++i) EXPECT_EQ(targets[i], inputs[i] + 1);
  for (int32_t row = 0; row < kBatch; ++row) {
    EXPECT_EQ(inputs[static_cast<size_t>(row * kLength)], sampler->GlobalSample(3, row) * kLength);
  }
  for (const int32_t world_size : {1, 2, 4, 6, 9}) {
    std::vector<int32_t> joined;
    for (int32_t rank = 0; rank < world_size; ++rank) {
      const SampleBlock block = BlockOfRank(kBatch, rank, world_size);
      EXPECT_LE(block.size(), kBatch / world_size + 1);
      std::vector<int32_t> mine(static_cast<size_t>(block.size() * kLength));
      std::vector<int32_t> my_targets(mine.size());
      sampler->ReadBatch(3, block, mine, my_targets);
      joined.insert(joined.end(), mine.begin(), mine.end());
    }
    EXPECT_EQ(joined, inputs) << world_size << " ranks";
  }
}

TEST(Sampler, ValidatesFrontToBack) {
  const TestDirectory directory;
  const auto sampler = Sampler::Make(Counting(directory, 31), {SampleOrder::kSequential, 0, 2, 10});
  ASSERT_TRUE(sampler.ok());
  EXPECT_EQ(sampler->windows(), 3);
  const std::vector<int64_t> expected = {0, 1, 2, 0};
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(sampler->GlobalSample(static_cast<int64_t>(i / 2), static_cast<int32_t>(i % 2)),
              expected[i]);
  }
}

TEST(Sampler, ExplainsWhatDoesNotFit) {
  const TestDirectory directory;
  const auto dataset = Counting(directory, 10);
  EXPECT_EQ(Sampler::Make(dataset, {SampleOrder::kShuffled, 1, 1, 10}).status().message(),
            directory.File("d") + " holds 10 tokens; one window of sequence_length 10 needs 11");
  EXPECT_EQ(Sampler::Make(dataset, {SampleOrder::kShuffled, 1, 0, 4}).status().message(),
            "global_batch (0) and sequence_length (4) must be at least 1");
  EXPECT_EQ(Sampler::Make(dataset, {SampleOrder::kShuffled, 1, 1, 9})->windows(), 1);
}

}  // namespace
}  // namespace weft
