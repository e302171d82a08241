#include "profiler/residuals.h"

#include <gtest/gtest.h>

#include <cmath>

#include "absl/strings/str_split.h"
#include "profiler/linear_fit.h"

namespace weft {
namespace {

CostKey Collective() {
  CostKey key;
  key.kind = OpKind::kGradAllReduce;
  key.group = GroupKind::kEdp;
  key.group_size = 2;
  key.link = LinkClass::kInterNode;
  return CalibrationKey(key);
}

CostKey Expert() {
  CostKey key;
  key.kind = OpKind::kExpert;
  key.direction = Direction::kForward;
  key.shape_class = 0xabc;
  return key;
}

CostKey Optimizer() {
  CostKey key;
  key.kind = OpKind::kOptimizer;
  return key;
}

TEST(FormatSize, HasTheUnitOfTheRegressor) {
  EXPECT_EQ(FormatSize(Collective(), 1536), "1.5 KiB");
  EXPECT_EQ(FormatSize(Expert(), 2e9), "2.0 GFLOP");
  EXPECT_EQ(FormatSize(Expert(), 12), "12 FLOP");
  EXPECT_EQ(FormatSize(Optimizer(), 12345), "12.3 k");
}

TEST(FormatRate, IsTheReciprocal) {
  EXPECT_EQ(FormatRate(Collective(), 1.0 / (1 << 30)), "1.0 GiB/s");
  EXPECT_EQ(FormatRate(Expert(), 1 / 34e9), "34.0 GFLOP/s");
  EXPECT_EQ(FormatRate(Optimizer(), 1 / 5e6), "5.0 M/s");
  EXPECT_EQ(FormatRate(Expert(), 0), "-");
}

std::string Refusal(const CostKey& key, std::vector<CostSample> samples) {
  ProfileTable table;
  table.entries[key].samples = std::move(samples);
  FitTable(table);
  return RefusalOf(key, table.entries[key]);
}

TEST(RefusalOf, SaysWhy) {
  EXPECT_EQ(Refusal(Collective(), {{1024, 1e-3}, {4096, 2e-3}}), "");
  EXPECT_EQ(Refusal(Collective(), {}), "no usable sample");
  EXPECT_EQ(Refusal(Collective(), {{1024, 0}}), "no usable sample");
  EXPECT_EQ(Refusal(Collective(), {{1024, 1e-3}, {1024, 2e-3}}),
            "one size only (1.0 KiB): a line needs two");
  EXPECT_EQ(Refusal(Expert(), {{1000, 1e-3}, {1090, 2e-3}}),
            "sizes 1.0 kFLOP to 1.1 kFLOP are too close to tell a slope");
}

TEST(RefusalOf, NamesTheSizesThatMisfitMost) {
  std::vector<CostSample> samples;
  for (int i = 6; i < 18; ++i) {
    samples.push_back({std::ldexp(1.0, i), i <= 12 ? 1e-5 : 8e-5});
  }
  const std::string reason = Refusal(Collective(), samples);
  EXPECT_EQ(reason.find("median residual "), 0u) << reason;
  EXPECT_NE(reason.find("% > 10%: "), std::string::npos) << reason;
  EXPECT_NE(reason.find("8.0 KiB -"), std::string::npos) << reason;  // the first beyond the switch
  EXPECT_EQ(std::count(reason.begin(), reason.end(), ','), 2) << reason;
}

TEST(ResidualsTable, OneAlignedLineAKey) {
  ProfileTable table;
  table.entries[Collective()].samples = {
      {1 << 20, 1e-4 + 1e-3}, {2 << 20, 1e-4 + 2e-3}, {4 << 20, 1e-4 + 4e-3}};
  table.entries[Expert()].samples = {{2e9, 1e-1}};
  table.entries[Optimizer()];
  FitTable(table);
  const std::string text = ResidualsTable(table);
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  ASSERT_EQ(lines.size(), 5u) << text;
  EXPECT_EQ(lines[4], "");
  EXPECT_EQ(lines[0].find("key"), 0u);
  const size_t line_column = lines[0].find("line");
  bool seen_collective = false;
  for (size_t i = 1; i <= 3; ++i) {
    const std::string verdict = lines[i].substr(line_column);
    EXPECT_TRUE(verdict == "accepted" || verdict.find("refused: ") == 0) << text;
    if (lines[i].find(ToString(Collective())) != 0) continue;
    seen_collective = true;
    EXPECT_EQ(verdict, "accepted") << text;
    EXPECT_NE(lines[i].find("1.0 MiB .. 4.0 MiB"), std::string::npos) << text;
    EXPECT_NE(lines[i].find("100.0 us"), std::string::npos) << text;
    EXPECT_NE(lines[i].find("1000.0 MiB/s"), std::string::npos) << text;
    EXPECT_NE(lines[i].find("1.0000"), std::string::npos) << text;
  }
  EXPECT_TRUE(seen_collective) << text;
  EXPECT_NE(text.find("refused: one size only (2.0 GFLOP): a line needs two"), std::string::npos);
  EXPECT_NE(text.find("refused: no usable sample"), std::string::npos);
}

}  // namespace
}  // namespace weft
