#include "profiler/sample.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(AddSamples, FilesByKeyAndKeepsOrder) {
  CostKey dispatch;
  dispatch.kind = OpKind::kDispatch;
  CostKey expert;
  expert.kind = OpKind::kExpert;
  const std::vector<KeyedSample> samples = {
      {dispatch, {4, 1}}, {expert, {9, 9}}, {dispatch, {2, 3}}, {dispatch, {4, 0.5}}};
  ProfileTable table;
  table.machine_fingerprint = 5;
  table.entries[expert].samples = {{1, 1}, {20, 2}};
  AddSamples(samples, table);
  EXPECT_EQ(table.machine_fingerprint, 5u);
  ASSERT_EQ(table.entries.size(), 2u);
  EXPECT_EQ(table.entries[dispatch].samples, (std::vector<CostSample>{{2, 3}, {4, 1}, {4, 0.5}}));
  EXPECT_EQ(table.entries[expert].samples, (std::vector<CostSample>{{1, 1}, {9, 9}, {20, 2}}));
}

}  // namespace
}  // namespace weft
