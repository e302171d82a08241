#include "launch/control/job_board.h"

#include <gtest/gtest.h>

namespace weft {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr uint64_t kJob = 0x77;

ControlOptions FourRanksOnTwoNodes() {
  ControlOptions options;
  options.world_size = 4;
  options.ranks_per_node = 2;
  options.job_id = kJob;
  return options;
}

v1::NodeHeartbeatRequest Heartbeat(int32_t node) {
  v1::NodeHeartbeatRequest request;
  request.set_job_id(kJob);
  request.mutable_member()->set_rank(2 * node);
  request.mutable_member()->set_node(node);
  request.mutable_member()->set_host(node == 0 ? "alder" : "birch");
  request.mutable_member()->set_pid(100 + node);
  for (int32_t rank = 2 * node; rank < 2 * node + 2; ++rank) {
    v1::RankState* state = request.add_ranks();
    state->mutable_member()->set_rank(rank);
    state->mutable_member()->set_node(node);
  }
  return request;
}

class JobBoardTest : public ::testing::Test {
 protected:
  // Both nodes, or node 0 alone, heartbeat every second.
  void Run(int seconds, bool node1_too) {
    for (int i = 0; i < seconds; ++i) {
      clock_.Advance(kSecond);
      ASSERT_TRUE(board_.Hear(Heartbeat(0)).ok());
      if (node1_too) {
        ASSERT_TRUE(board_.Hear(Heartbeat(1)).ok());
      }
    }
  }

  FakeClock clock_;
  JobBoard board_{FourRanksOnTwoNodes(), clock_};
};

TEST_F(JobBoardTest, RequestsReachTheStepLoopOnce) {
  EXPECT_FALSE(board_.TakeRequests().stop);
  ASSERT_TRUE(board_.Stop(v1::StopRequest()).ok());
  ASSERT_TRUE(board_.Stop(v1::StopRequest()).ok());
  ASSERT_TRUE(board_.Checkpoint(v1::CheckpointRequest()).ok());
  const ControlRequests requests = board_.TakeRequests();
  EXPECT_TRUE(requests.stop);
  EXPECT_TRUE(requests.checkpoint);
  EXPECT_FALSE(board_.TakeRequests().stop);
  EXPECT_FALSE(board_.TakeRequests().checkpoint);
}

TEST_F(JobBoardTest, NamesTheNodeThatFellSilent) {
  Run(10, /*node1_too=*/true);
  Run(6, /*node1_too=*/false);
  const auto answer = board_.Hear(Heartbeat(0));
  ASSERT_TRUE(answer.ok());
  ASSERT_TRUE(answer->has_failure());
  EXPECT_EQ(answer->failure().origin().rank(), 2);
  EXPECT_EQ(answer->failure().message(),
            "rank 2 (node 1, host birch, pid 101) has not been heard of for 6.0 s");
  EXPECT_TRUE(board_.AwaitEnd(absl::ZeroDuration()).ok());  // node 0 knows, node 1 is lost
}

TEST_F(JobBoardTest, TheFirstCauseStays) {
  v1::NodeHeartbeatRequest first = Heartbeat(1);
  first.mutable_failure()->set_message("first");
  first.mutable_failure()->set_code(13);
  ASSERT_TRUE(board_.Hear(first).ok());
  v1::NodeHeartbeatRequest second = Heartbeat(0);
  second.mutable_failure()->set_message("second");
  second.mutable_failure()->set_code(13);
  EXPECT_EQ(board_.Hear(second)->failure().message(), "first");
  EXPECT_EQ(board_.GetStatus(v1::GetStatusRequest())->failure().message(), "first");
}

TEST_F(JobBoardTest, ANodeThatLeftIsNotLost) {
  v1::NodeHeartbeatRequest leaving = Heartbeat(1);
  leaving.set_left(true);
  ASSERT_TRUE(board_.Hear(leaving).ok());
  Run(20, /*node1_too=*/false);
  EXPECT_FALSE(board_.Hear(Heartbeat(0))->has_failure());

  const absl::Status waiting = board_.AwaitEnd(absl::ZeroDuration());
  EXPECT_EQ(waiting.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(waiting.message(), "the coordinator waited 0 for the end of node 0");
  leaving = Heartbeat(0);
  leaving.set_left(true);
  ASSERT_TRUE(board_.Hear(leaving).ok());
  EXPECT_TRUE(board_.AwaitEnd(absl::ZeroDuration()).ok());
}

TEST_F(JobBoardTest, StatusAddsTheNodesSilenceToItsRanks) {
  v1::NodeHeartbeatRequest heartbeat = Heartbeat(1);
  heartbeat.mutable_ranks(1)->set_silent_millis(300);
  heartbeat.mutable_ranks(1)->set_step(41);
  ASSERT_TRUE(board_.Hear(heartbeat).ok());
  clock_.Advance(kSecond);
  const auto status = board_.GetStatus(v1::GetStatusRequest());
  ASSERT_EQ(status->ranks_size(), 2);
  EXPECT_EQ(status->ranks(1).member().rank(), 3);
  EXPECT_EQ(status->ranks(1).silent_millis(), 1300);
  EXPECT_EQ(status->ranks(1).step(), 41);
}

TEST_F(JobBoardTest, RefusesSendersThatCannotBe) {
  v1::NodeHeartbeatRequest request = Heartbeat(1);
  request.set_job_id(0x78);
  EXPECT_EQ(board_.Hear(request).status().message(), "this is job 77; the message is for job 78");

  request = Heartbeat(1);
  request.mutable_member()->set_rank(3);
  EXPECT_EQ(board_.Hear(request).status().message(), "rank 3 does not host the service of node 1");

  request = Heartbeat(1);
  request.mutable_member()->set_node(7);
  EXPECT_EQ(board_.Hear(request).status().message(), "rank 2 does not host the service of node 7");

  request = Heartbeat(1);
  *request.mutable_ranks(0) = Heartbeat(0).ranks(0);
  EXPECT_EQ(board_.Hear(request).status().message(), "node 1 cannot speak for rank 0 of node 0");

  ASSERT_TRUE(board_.Hear(Heartbeat(1)).ok());
  request = Heartbeat(1);
  request.mutable_member()->set_pid(999);
  EXPECT_EQ(board_.Hear(request).status().message(),
            "rank 2 (node 1, host birch, pid 101) is known; a message from host birch, pid 999 in "
            "its name is refused");
}

TEST_F(JobBoardTest, APersonMayNameTheJobOrNot) {
  v1::StopRequest request;
  request.set_job_id(kJob);
  EXPECT_TRUE(board_.Stop(request).ok());
  request.set_job_id(kJob + 1);
  EXPECT_EQ(board_.Stop(request).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(JobBoardTest, HasNoPlanBeforeOneIsPublished) {
  EXPECT_EQ(board_.GetPlan(v1::GetPlanRequest()).status().code(),
            absl::StatusCode::kFailedPrecondition);
  board_.PublishPlan("{}", "because");
  EXPECT_EQ(board_.GetPlan(v1::GetPlanRequest())->explanation(), "because");
}

}  // namespace
}  // namespace weft
