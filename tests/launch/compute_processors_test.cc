// cluster.compute_processors: computations to themselves, everything else beside them.

#include <gtest/gtest.h>

#include <thread>

#include "base/thread_processors.h"
#include "launch/bootstrap.h"

namespace weft {
namespace {

// In a thread of its own: what it is kept to ends with it.
absl::Status Leave(const std::vector<int32_t>& processors, std::vector<int32_t>& left) {
  absl::Status status;
  std::thread([&] {
    ClusterOptions cluster;
    cluster.compute_processors = processors;
    status = LeaveComputeProcessors(cluster);
    left = OwnProcessors();
  }).join();
  return status;
}

TEST(ComputeProcessorsTest, NoneLeavesEverythingWhereItIs) {
  std::vector<int32_t> left;
  EXPECT_TRUE(Leave({}, left).ok());
  EXPECT_EQ(left, OwnProcessors());
}

TEST(ComputeProcessorsTest, OthersAreLeftForCommunication) {
  const std::vector<int32_t> own = OwnProcessors();
  if (own.size() < 2) GTEST_SKIP() << "this process may use one processor only";
  std::vector<int32_t> left;
  EXPECT_TRUE(Leave({own[0]}, left).ok());
  EXPECT_EQ(left, std::vector<int32_t>(own.begin() + 1, own.end()));
}

TEST(ComputeProcessorsTest, OneThatIsNotThereIsRefused) {
  std::vector<int32_t> left;
  const absl::Status status = Leave({1023}, left);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("may not use processor 1023; it may use 0"), std::string::npos)
      << status;
  EXPECT_EQ(left, OwnProcessors());
}

TEST(ComputeProcessorsTest, CommunicationNeedsOneAsWell) {
  std::vector<int32_t> left;
  const absl::Status status = Leave(OwnProcessors(), left);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("communication needs one as well"), std::string::npos) << status;
  EXPECT_EQ(left, OwnProcessors());
}

}  // namespace
}  // namespace weft
