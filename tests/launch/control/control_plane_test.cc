#include "launch/control/control_plane.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/fingerprint.h"
#include "launch/control/run_files.h"
#include "tests/launch/control/control_job.h"

namespace weft {
namespace {

using ::testing::TempDir;

constexpr int32_t kRanks = 4;

// Two nodes of two ranks. Patient, so that a busy machine raises no false alarm.
ControlOptions Options() {
  ControlOptions options;
  options.world_size = kRanks;
  options.ranks_per_node = 2;
  options.heartbeat = absl::Milliseconds(20);
  options.deadline = absl::Seconds(40);
  return options;
}

// For tests in which somebody must be found lost.
ControlOptions ImpatientOptions() {
  ControlOptions options = Options();
  options.deadline = absl::Seconds(2);
  return options;
}

ProposedPlan MakePlan(int64_t epoch) {
  const std::string json =
      absl::StrCat("{\"epoch\": ", epoch, ", \"tasks\": [", std::string(100'000, '1'), "]}");
  return ProposedPlan{epoch, json, Fingerprint(json)};
}

void ExpectContains(const absl::Status& status, const std::string& part) {
  EXPECT_TRUE(absl::StrContains(status.message(), part)) << status << "\nlacks: " << part;
}

void ExpectAllOk(const std::vector<absl::Status>& statuses) {
  for (size_t rank = 0; rank < statuses.size(); ++rank) {
    EXPECT_TRUE(statuses[rank].ok()) << "rank " << rank << ": " << statuses[rank];
  }
}

TEST(ControlPlaneTest, AProposedPlanReachesAllRanksWithTheSameBytes) {
  ControlJob job(Options());
  for (const int64_t epoch : {1, 2}) {
    const ProposedPlan plan = MakePlan(epoch);
    ASSERT_TRUE(job.client(0).Propose(plan).ok());
    for (int32_t rank = 0; rank < kRanks; ++rank) {
      std::optional<ProposedPlan> taken;
      AwaitTrue(absl::StrCat("plan at rank ", rank), [&] {
        taken = job.client(rank).TakeProposal();
        return taken.has_value();
      });
      EXPECT_EQ(taken->epoch, epoch);
      EXPECT_EQ(taken->json, plan.json);
      EXPECT_EQ(taken->fingerprint, plan.fingerprint);
      EXPECT_FALSE(job.client(rank).TakeProposal().has_value());
    }
  }
  EXPECT_EQ(job.client(0).Propose(MakePlan(2)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(job.client(1).Propose(MakePlan(3)).message(), "only rank 0 proposes plans");
  ExpectAllOk(job.LeaveAll());
}

TEST(ControlPlaneTest, ACleanEndLeavesNoServiceFileAndNoAlarm) {
  ControlOptions options = Options();
  std::string directory = TempDir() + "/weft-control-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  options.run_directory = directory;
  ASSERT_TRUE(WriteFailureFile(directory, {1, 0, "", 0, absl::AbortedError("earlier")}).ok());
  ControlJob job(options);
  const auto service = LoadServiceFile(directory);
  ASSERT_TRUE(service.ok()) << service.status();
  EXPECT_EQ(service->address, job.options(3).coordinator_address);
  EXPECT_EQ(service->job_id, job.options(3).job_id);
  EXPECT_NE(service->job_id, 0u);
  ExpectAllOk(job.LeaveAll());
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  for (int32_t rank = 0; rank < kRanks; ++rank) EXPECT_EQ(job.aborts(rank).count(), 0);
  std::filesystem::remove_all(directory);
}

TEST(ControlPlaneTest, AReportedFailureReachesAllWithItsOrigin) {
  ControlOptions options = Options();
  std::string directory = TempDir() + "/weft-control-XXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  options.run_directory = directory;
  ControlJob job(options);
  job.client(3).ReportFailure(absl::DataLossError("shard 2 is damaged \xff"));
  EXPECT_TRUE(job.client(3).failure().has_value());
  for (int32_t rank = 0; rank < kRanks; ++rank) {
    const absl::Status cause = job.aborts(rank).Await();
    EXPECT_EQ(cause.code(), absl::StatusCode::kDataLoss);
    ExpectContains(cause, "rank 3 (node 1, host ");
    ExpectContains(cause, absl::StrCat(", pid ", getpid(), "): shard 2 is damaged \xef\xbf\xbd"));
    EXPECT_EQ(job.client(rank).failure()->rank, 3);
  }
  job.client(1).ReportFailure(absl::InternalError("a consequence"));  // returns at once
  EXPECT_EQ(job.client(1).failure()->rank, 3);
  ExpectAllOk(job.LeaveAll());
  for (int32_t rank = 0; rank < kRanks; ++rank) EXPECT_EQ(job.aborts(rank).count(), 1);
  EXPECT_EQ(LoadFailureFile(directory)->rank, 3);
  std::filesystem::remove_all(directory);
}

TEST(ControlPlaneTest, OnlyOneOfManyFailuresBecomesTheCause) {
  ControlJob job(Options());
  std::vector<std::thread> threads;
  for (int32_t rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back(
        [&job, rank] { job.client(rank).ReportFailure(absl::InternalError("broken")); });
  }
  for (std::thread& thread : threads) thread.join();
  for (int32_t rank = 0; rank < kRanks; ++rank) {
    ExpectContains(job.aborts(rank).Await(), "): broken");
    EXPECT_EQ(job.aborts(rank).count(), 1);
  }
  ExpectAllOk(job.LeaveAll());
}

TEST(ControlPlaneTest, ARankThatFallsSilentIsNamedToAllOthers) {
  ControlJob job(ImpatientOptions());
  job.Kill(3);
  for (const int32_t rank : {0, 1, 2}) {
    const absl::Status cause = job.aborts(rank).Await();
    EXPECT_EQ(cause.code(), absl::StatusCode::kUnavailable);
    ExpectContains(cause, "rank 3 (node 1, host ");
    ExpectContains(cause, absl::StrCat("pid ", getpid(), ") has not been heard of for "));
  }
  ExpectAllOk(job.LeaveAll());
}

TEST(ControlPlaneTest, ALostNodeServiceIsNamedByItsRanksAndByTheCoordinator) {
  ControlJob job(ImpatientOptions());
  job.Kill(2);
  ExpectContains(job.aborts(3).Await(),
                 absl::StrCat("the service of node 1 (rank 2, ", job.options(3).node_address,
                              ") has not been heard of for "));
  for (const int32_t rank : {0, 1}) {
    ExpectContains(job.aborts(rank).Await(), "rank 2 (node 1, host ");
  }
  EXPECT_EQ(job.client(3).failure()->rank, 2);
  ExpectAllOk(job.LeaveAll());
}

TEST(ControlPlaneTest, ALostCoordinatorIsNamedByEverybody) {
  ControlJob job(ImpatientOptions());
  job.Kill(0);
  ExpectContains(job.aborts(1).Await(), "the service of node 0 (rank 0, ");
  for (const int32_t rank : {2, 3}) {
    ExpectContains(job.aborts(rank).Await(),
                   absl::StrCat("the coordinator (rank 0, ", job.options(rank).coordinator_address,
                                ") has not been heard of for "));
    EXPECT_EQ(job.client(rank).failure()->rank, 0);
  }
  ExpectAllOk(job.LeaveAll());
}

TEST(ControlPlaneTest, AFailureReportedToADeadNodeServiceEndsTheReporterAsItsCause) {
  ControlJob job(ImpatientOptions());
  job.Kill(0);
  job.client(1).ReportFailure(absl::InternalError("broken"));
  ExpectContains(job.aborts(1).Await(), "): broken");
  EXPECT_EQ(job.client(1).failure()->rank, 1);
  for (const int32_t rank : {2, 3}) {
    ExpectContains(job.aborts(rank).Await(), "the coordinator (rank 0, ");
  }
}

TEST(ControlPlaneTest, AServerThatCannotStartFailsOnEveryRankByName) {
  ControlOptions options = Options();
  const auto taken = Coordinator::Listen(options);
  ASSERT_TRUE(taken.ok()) << taken.status();
  const std::string& address = (*taken)->address();
  options.port = std::stoi(address.substr(address.rfind(':') + 1));
  ThreadGather gather(kRanks);
  std::vector<absl::Status> statuses(kRanks);
  std::vector<std::thread> threads;
  for (int32_t rank = 0; rank < kRanks; ++rank) {
    threads.emplace_back([&, rank] {
      ControlOptions mine = options;
      mine.rank = rank;
      statuses[rank] = ControlPlane::Connect(
                           mine, [&](const std::string& text) { return gather.Gather(rank, text); },
                           [](const absl::Status&) {})
                           .status();
    });
  }
  for (std::thread& thread : threads) thread.join();
  ExpectContains(statuses[0], absl::StrCat("cannot listen on ", address));
  for (const int32_t rank : {1, 2, 3}) {
    ExpectContains(statuses[rank], absl::StrCat("rank 0: cannot listen on ", address));
  }
}

}  // namespace
}  // namespace weft
