#include "launch/control/node_board.h"

#include <gtest/gtest.h>

#include "base/fingerprint.h"

namespace weft {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr uint64_t kJob = 0x77;

// The board of node 1, ranks 2 and 3 of five on three nodes.
ControlOptions NodeOne() {
  ControlOptions options;
  options.rank = 2;
  options.world_size = 5;
  options.ranks_per_node = 2;
  options.job_id = kJob;
  options.coordinator_address = "127.0.0.1:1";
  return options;
}

v1::RankHeartbeatRequest Heartbeat(int32_t rank) {
  v1::RankHeartbeatRequest request;
  request.set_job_id(kJob);
  v1::Member* member = request.mutable_state()->mutable_member();
  member->set_rank(rank);
  member->set_node(rank / 2);
  member->set_host("birch");
  member->set_pid(200 + rank);
  return request;
}

v1::NodeHeartbeatResponse NoNews() {
  v1::NodeHeartbeatResponse response;
  response.set_newest_epoch(-1);
  return response;
}

class NodeBoardTest : public ::testing::Test {
 protected:
  FakeClock clock_;
  NodeBoard board_{NodeOne(), clock_};
};

TEST_F(NodeBoardTest, NamesTheRankThatFellSilentUpAndDown) {
  ASSERT_TRUE(board_.Hear(Heartbeat(3)).ok());
  v1::NodeHeartbeatRequest report;
  for (int second = 0; second < 6; ++second) {
    clock_.Advance(kSecond);
    ASSERT_TRUE(board_.Hear(Heartbeat(2)).ok());
    report = board_.MakeReport(/*leaving=*/false);
    board_.Absorb(NoNews());
  }
  ASSERT_TRUE(report.has_failure());
  EXPECT_EQ(report.failure().message(),
            "rank 3 (node 1, host birch, pid 203) has not been heard of for 6.0 s");
  EXPECT_EQ(report.ranks(1).silent_millis(), 6000);
  EXPECT_EQ(board_.Hear(Heartbeat(2))->failure().origin().rank(), 3);

  // The end comes when the coordinator knows too.
  EXPECT_EQ(board_.AwaitEnd(absl::ZeroDuration()).message(),
            "the service of node 1 waited 0 for the end of the coordinator");
  v1::NodeHeartbeatResponse known = NoNews();
  *known.mutable_failure() = report.failure();
  board_.Absorb(known);
  EXPECT_TRUE(board_.AwaitEnd(absl::ZeroDuration()).ok());
}

TEST_F(NodeBoardTest, TheJobsFirstCauseGoesBeforeTheNodes) {
  v1::RankHeartbeatRequest failing = Heartbeat(3);
  failing.mutable_failure()->set_message("mine");
  failing.mutable_failure()->set_code(13);
  EXPECT_EQ(board_.Hear(failing)->failure().message(), "mine");
  EXPECT_EQ(board_.MakeReport(false).failure().message(), "mine");
  v1::NodeHeartbeatResponse response = NoNews();
  response.mutable_failure()->set_message("theirs");
  response.mutable_failure()->set_code(13);
  board_.Absorb(response);
  EXPECT_EQ(board_.Hear(Heartbeat(2))->failure().message(), "theirs");
}

TEST_F(NodeBoardTest, BlamesRankZeroWhenTheCoordinatorDoesNotAnswer) {
  board_.Absorb(NoNews());
  ASSERT_TRUE(board_.Hear(Heartbeat(2)).ok());
  for (int second = 0; second < 6; ++second) {
    EXPECT_FALSE(board_.Hear(Heartbeat(2))->has_failure());
    clock_.Advance(kSecond);
    board_.RecordNoAnswer(absl::UnavailableError("connection refused"));
  }
  const auto answer = board_.Hear(Heartbeat(2));
  EXPECT_EQ(answer->failure().origin().rank(), 0);
  EXPECT_EQ(answer->failure().message(),
            "the coordinator (rank 0, 127.0.0.1:1) has not been heard of for 6.0 s by node 1: "
            "connection refused");
}

TEST_F(NodeBoardTest, FetchesAPlanOnlyWhenItIsNewer) {
  v1::NodeHeartbeatResponse response = NoNews();
  EXPECT_EQ(board_.Absorb(response), std::nullopt);
  response.set_newest_epoch(2);
  EXPECT_EQ(board_.Absorb(response), 2);
  v1::FetchPlanResponse plan;
  plan.set_epoch(2);
  plan.set_json("plan");
  plan.set_fingerprint(1);
  EXPECT_EQ(board_.PutPlan(plan).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(board_.Absorb(response), 2);  // again
  plan.set_fingerprint(Fingerprint("plan"));
  ASSERT_TRUE(board_.PutPlan(plan).ok());
  EXPECT_EQ(board_.Absorb(response), std::nullopt);
  EXPECT_EQ(board_.Hear(Heartbeat(2))->newest_epoch(), 2);
  v1::FetchPlanRequest fetch;
  fetch.set_job_id(kJob);
  fetch.set_epoch(2);
  EXPECT_EQ(board_.Fetch(fetch)->json(), "plan");
}

TEST_F(NodeBoardTest, EndsWhenItsRanksHaveLeft) {
  v1::RankHeartbeatRequest leaving = Heartbeat(2);
  leaving.mutable_state()->set_left(true);
  ASSERT_TRUE(board_.Hear(leaving).ok());
  EXPECT_EQ(board_.AwaitEnd(absl::ZeroDuration()).message(),
            "the service of node 1 waited 0 for the end of rank 3");
  leaving = Heartbeat(3);
  leaving.mutable_state()->set_left(true);
  ASSERT_TRUE(board_.Hear(leaving).ok());
  EXPECT_TRUE(board_.AwaitEnd(absl::ZeroDuration()).ok());
}

TEST_F(NodeBoardTest, RefusesSendersThatCannotBe) {
  EXPECT_EQ(board_.Hear(Heartbeat(5)).status().message(), "rank 5 is not one of 0..4");
  EXPECT_EQ(board_.Hear(Heartbeat(4)).status().message(),
            "rank 4 is on node 2; this is the service of node 1");
  v1::RankHeartbeatRequest request = Heartbeat(3);
  request.mutable_state()->mutable_member()->set_node(0);
  EXPECT_EQ(board_.Hear(request).status().message(), "rank 3 is on node 1, not on node 0");
  request = Heartbeat(3);
  request.set_job_id(1);
  EXPECT_EQ(board_.Hear(request).status().message(), "this is job 77; the message is for job 1");
}

TEST(NodeBoardSizeTest, TheLastNodeMayHaveFewerRanks) {
  ControlOptions options = NodeOne();
  options.rank = 4;
  FakeClock clock;
  NodeBoard board(options, clock);
  v1::RankHeartbeatRequest leaving = Heartbeat(4);
  leaving.mutable_state()->set_left(true);
  ASSERT_TRUE(board.Hear(leaving).ok());
  EXPECT_TRUE(board.AwaitEnd(absl::ZeroDuration()).ok());
}

}  // namespace
}  // namespace weft
