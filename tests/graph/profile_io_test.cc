#include <gtest/gtest.h>

#include "graph/profile_table.h"

namespace weft {
namespace {

ProfileTable SmallProfile() {
  ProfileTable table;
  table.machine_fingerprint = 0xfedcba9876543210;
  table.contention.stretch = {{{0, 0.125, 0.5}, {0.1, 0, 0}, {1.0 / 3, 2, 0}}};
  table.limited_contention[8].stretch = {{{0, 0.1, 0.25}, {0, 0, 0}, {0, 0, 0}}};
  table.limited_contention[16] = {};
  const CostKey a2a = CalibrationKey(CostKey{OpKind::kDispatch, Direction::kForward, GroupKind::kEp,
                                             2, LinkClass::kInterNode, DType::kF32, 0});
  const CostKey expert{OpKind::kExpert,
                       Direction::kBackward,
                       GroupKind::kNone,
                       1,
                       LinkClass::kNone,
                       DType::kF32,
                       0xabc};
  table.entries[a2a] = {{{0, 1e-4}, {1 << 20, 0.1 / 3}}, {1e-4, 1.0 / 3e8, 0.99, 0.02, true}};
  CostKey limited = a2a;
  limited.sm_limit = 8;
  table.entries[limited] = {{{1 << 20, 0.2}}, {}};
  table.entries[expert] = {{{5e6, 2e-3}}, {0, 0, -0.5, 0.3, false}};
  return table;
}

TEST(ProfileIoTest, ReadsBackToTheSameTableAndTheSameBytes) {
  const std::string text = ProfileToJson(SmallProfile());
  const absl::StatusOr<ProfileTable> read = ProfileFromJson(text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, SmallProfile());
  EXPECT_EQ(ProfileToJson(*read), text);
  const absl::StatusOr<ProfileTable> empty = ProfileFromJson(ProfileToJson(ProfileTable{}));
  ASSERT_TRUE(empty.ok());
  EXPECT_EQ(*empty, ProfileTable{});
}

TEST(ProfileIoTest, ErrorsNameTheFieldAndWhatWasExpected) {
  const std::string good = ProfileToJson(SmallProfile());
  const struct {
    const char* what;
    const char* by;
    const char* says;
  } cases[] = {
      {"weft.profile", "weft.plan", "'format'"},
      {"fedcba9876543210", "fedcba98765432100", "hexadecimal"},
      {"fedcba9876543210", "0xfedc", "hexadecimal"},
      {"dispatch/ep2/inter/u8", "dispatch/ep2/inter/f16", "entries[0]: cost key"},
      {"dispatch/ep2/inter/u8", "combine.fwd/ep2/inter/f32", "is filed under dispatch/ep2"},
      {"\"alpha\": 1e-04", "\"alpha\": -1", "entries[0].fit: field 'alpha'"},
      {"\"r2\": 0.99", "\"r2\": \"good\"", "'r2' must be a number"},
      {"\"accepted\": true", "\"accepted\": 1", "'accepted'"},
      {"[0, 0.125, 0.5]", "[0.25, 0.125, 0.5]", "'contention' must be 3 rows of 3 numbers"},
      {"[0, 0.125, 0.5]", "[0, -0.125, 0.5]", "0 on the diagonal"},
      {"[0, 0.125, 0.5]", "[0, 0.5]", "'contention'"},
      {"[0, 0.125, 0.5], ", "", "'contention'"},
      {"[0, 0.1, 0.25]", "[0, 0.1]", "limited_contention[0]: field 'contention' must be 3 rows"},
      {"\"sm_limit\": 8", "\"sm_limit\": 0", "limited_contention[0]: field 'sm_limit'"},
      {"\"sm_limit\": 16", "\"sm_limit\": 8", "limited_contention[1]: sm_limit 8 is given twice"},
      {"\"version\": 3", "\"version\": 2", "version"},
      {"[0, 1e-04]", "[0]", "samples[0] must be [size, seconds]"},
      {"[0, 1e-04]", "[0, -1]", "samples[0] must be [size, seconds]"},
      {"[0, 1e-04]", "[9e9, 0.0001]", "ascend"},
      {"\"samples\": [[0", "\"samples\": 1, \"x\": [[0", "unknown field"},
  };
  for (const auto& c : cases) {
    std::string text = good;
    const size_t at = text.find(c.what);
    ASSERT_NE(at, std::string::npos) << c.what;
    text.replace(at, std::string_view(c.what).size(), c.by);
    const absl::StatusOr<ProfileTable> read = ProfileFromJson(text);
    ASSERT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << c.by;
    EXPECT_NE(std::string(read.status().message()).find(c.says), std::string::npos)
        << read.status() << " should say: " << c.says;
  }
}

TEST(ProfileIoTest, RefusesEveryTruncation) {
  const std::string good = ProfileToJson(SmallProfile());
  for (size_t length = 0; length + 1 < good.size(); ++length) {
    ASSERT_FALSE(ProfileFromJson(good.substr(0, length)).ok()) << length;
  }
}

}  // namespace
}  // namespace weft
