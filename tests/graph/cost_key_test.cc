#include "graph/cost_key.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace weft {
namespace {

std::vector<CostKey> ManyKeys() {
  std::vector<CostKey> keys;
  for (int kind = 0; kind <= static_cast<int>(OpKind::kOptimizer); ++kind) {
    for (const Direction direction :
         {Direction::kNone, Direction::kForward, Direction::kBackward}) {
      for (int group = 0; group <= static_cast<int>(GroupKind::kEdp); ++group) {
        for (const LinkClass link :
             {LinkClass::kNone, LinkClass::kIntraNode, LinkClass::kInterNode}) {
          for (const DType dtype : {DType::kF32, DType::kBF16, DType::kI32, DType::kU8}) {
            for (const uint64_t shape : {uint64_t{0}, uint64_t{0xf32}, ~uint64_t{0}}) {
              for (const int32_t size : {1, 2, 96}) {
                keys.push_back(CostKey{static_cast<OpKind>(kind), direction,
                                       static_cast<GroupKind>(group), size, link, dtype, shape});
              }
            }
          }
        }
      }
    }
  }
  return keys;
}

TEST(CostKeyTest, TextIsUniqueAndReadsBack) {
  std::set<std::string> texts;
  std::vector<CostKey> keys = ManyKeys();
  for (size_t i = 0, count = keys.size(); i < count; ++i) {
    if (keys[i].group == GroupKind::kNone) continue;
    keys.push_back(keys[i]);
    keys.back().sm_limit = 16;
  }
  for (const CostKey& key : keys) {
    const std::string text = ToString(key);
    texts.insert(text);
    const absl::StatusOr<CostKey> read = ParseCostKey(text);
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_EQ(*read, key) << text;
  }
  EXPECT_EQ(texts.size(), keys.size());
}

TEST(CostKeyTest, TextIsTheDocumentedOne) {
  EXPECT_EQ(ToString(CostKey{OpKind::kExpert, Direction::kForward, GroupKind::kNone, 1,
                             LinkClass::kNone, DType::kF32, 0x1f2e3d4c}),
            "expert.fwd/f32/1f2e3d4c");
  EXPECT_EQ(ToString(CostKey{OpKind::kDispatch, Direction::kBackward, GroupKind::kEp, 2,
                             LinkClass::kInterNode, DType::kF32, 0}),
            "dispatch.bwd/ep2/inter/f32");
  EXPECT_EQ(ToString(CostKey{OpKind::kDispatch, Direction::kNone, GroupKind::kEp, 8,
                             LinkClass::kIntraNode, DType::kU8, 0, 16}),
            "dispatch/ep8/intra/u8/sms16");
}

TEST(CostKeyTest, RefusesAnythingElseInOneSentence) {
  for (const char* text : {"",
                           "/",
                           "dispatch",
                           "dispatch.bwd",
                           "dispatch.sideways/f32",
                           "dispatch./f32",
                           "teleport.fwd/f32",
                           "dispatch/ep0/f32",
                           "dispatch/ep02/f32",
                           "dispatch/f32/",
                           "dispatch/f32/0",
                           "dispatch/f32/xyz",
                           "dispatch/f32/1f/2",
                           "dispatch/ep99999999999/f32",
                           "dispatch/none1/f32",
                           "dispatch/f32/1F",
                           "dispatch/f32/0x1f",
                           "expert.fwd.fwd/f32",
                           "dispatch/ep2/f32/sms0",
                           "dispatch/ep2/f32/sms",
                           "dispatch/ep2/f32/sms08",
                           "dispatch/ep2/f32/sms8/sms8",
                           "expert.fwd/f32/sms8"}) {
    const absl::StatusOr<CostKey> read = ParseCostKey(text);
    EXPECT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(CostKeyTest, CollectivesOfAGroupShareACostAndComputeDoesNot) {
  const auto key = [](OpKind kind, Direction direction, GroupKind group, DType dtype) {
    return CostKey{kind, direction, group, 4, LinkClass::kInterNode, dtype, 7};
  };
  const CostKey dispatch =
      CalibrationKey(key(OpKind::kDispatch, Direction::kForward, GroupKind::kEp, DType::kF32));
  EXPECT_EQ(dispatch, CalibrationKey(key(OpKind::kCombine, Direction::kBackward, GroupKind::kEp,
                                         DType::kBF16)));
  EXPECT_NE(dispatch, CalibrationKey(key(OpKind::kCountsAllToAll, Direction::kForward,
                                         GroupKind::kEp, DType::kI32)));
  EXPECT_EQ(CalibrationKey(
                key(OpKind::kCountsAllGather, Direction::kForward, GroupKind::kWorld, DType::kI32)),
            CalibrationKey(
                key(OpKind::kStepReduction, Direction::kNone, GroupKind::kWorld, DType::kF32)));
  EXPECT_NE(dispatch, CalibrationKey(key(OpKind::kDispatch, Direction::kForward, GroupKind::kInter,
                                         DType::kF32)));
  EXPECT_EQ(CalibrationKey(
                key(OpKind::kGradAllGather, Direction::kForward, GroupKind::kEsp, DType::kBF16)),
            CalibrationKey(
                key(OpKind::kEspAllGather, Direction::kBackward, GroupKind::kEsp, DType::kF32)));
  EXPECT_EQ(CalibrationKey(key(OpKind::kGradReduceScatter, Direction::kBackward, GroupKind::kIntra,
                               DType::kF32)),
            CalibrationKey(key(OpKind::kEspReduceScatter, Direction::kForward, GroupKind::kIntra,
                               DType::kF32)));
  EXPECT_EQ(CalibrationKey(
                key(OpKind::kGradAllReduce, Direction::kBackward, GroupKind::kEdp, DType::kF32)),
            CalibrationKey(key(OpKind::kExpertGradAllReduce, Direction::kBackward, GroupKind::kEdp,
                               DType::kF32)));
  EXPECT_NE(
      CalibrationKey(key(OpKind::kExpert, Direction::kForward, GroupKind::kNone, DType::kF32)),
      CalibrationKey(key(OpKind::kExpert, Direction::kBackward, GroupKind::kNone, DType::kF32)));
  for (const CostKey& any : ManyKeys()) {
    ASSERT_EQ(CalibrationKey(CalibrationKey(any)), CalibrationKey(any)) << ToString(any);
    CostKey limited = any;
    limited.sm_limit = 8;
    ASSERT_NE(CalibrationKey(limited), CalibrationKey(any)) << ToString(any);
  }
}

}  // namespace
}  // namespace weft
