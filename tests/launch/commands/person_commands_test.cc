// `weft status`, `plan`, `stop` and `checkpoint` against a live job.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "launch/commands/commands.h"
#include "launch/commands/exit_codes.h"
#include "launch/control/run_files.h"
#include "tests/launch/control/control_job.h"

namespace weft {
namespace {

using nlohmann::json;

using Command = int (*)(const std::vector<std::string>&, std::ostream&, std::ostream&);

struct Result {
  int code = 0;
  std::string out;
  std::string err;
};

Result Execute(Command command, const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = command(arguments, out, err);
  return {code, out.str(), err.str()};
}

class RunDirectory {
 public:
  RunDirectory() {
    path_ = ::testing::TempDir() + "/weft-commands-XXXXXX";
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~RunDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class PersonCommandsTest : public ::testing::Test {
 protected:
  static ControlOptions OptionsIn(const std::string& directory) {
    ControlOptions options;
    options.world_size = 2;
    options.ranks_per_node = 1;
    options.heartbeat = absl::Milliseconds(20);
    options.deadline = absl::Seconds(40);
    options.run_directory = directory;
    return options;
  }

  void SetUp() override {
    JobStatus status;
    status.name = "walnut";
    status.phase = "training";
    status.run_directory = directory_.path();
    status.world_size = 2;
    status.step = 120;
    status.total_steps = 300;
    status.loss = 2.345678;
    status.tokens_per_second = 12345;
    status.plan_epoch = 2;
    status.predicted_step_seconds = 0.040;
    status.measured_step_seconds = 0.042;
    status.last_checkpoint_step = 100;
    job_.client(0).Publish(status);
    job_.client(1).Publish(status);
    AwaitTrue("both ranks' steps", [this] {
      const json shown = json::parse(Execute(RunStatusCommand, {"--json", run_}).out);
      return shown["ranks"].size() == 2 && shown["ranks"][1]["step"] == 120;
    });
  }
  void TearDown() override {
    for (const absl::Status& status : job_.LeaveAll()) EXPECT_TRUE(status.ok()) << status;
  }

  RunDirectory directory_;
  ControlJob job_{OptionsIn(directory_.path())};
  const std::string run_ = "--run=" + directory_.path();
};

TEST_F(PersonCommandsTest, StatusShowsTheJobToPeople) {
  const Result result = Execute(RunStatusCommand, {run_});
  EXPECT_EQ(result.code, kExitDone);
  EXPECT_EQ(result.err, "");
  for (const char* part :
       {"run         walnut in ", "phase       training\n", "step        120 of 300\n",
        "loss        2.3457\n", "plan epoch 2 predicted ", "checkpoint  step 100\n",
        "ranks       2 of 2\n", "  rank 1  node 1  ", " heard "}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << " in\n" << result.out;
  }
}

TEST_F(PersonCommandsTest, StatusShowsTheJobToPrograms) {
  const Result result = Execute(RunStatusCommand, {run_, "--json"});
  EXPECT_EQ(result.code, kExitDone);
  const json shown = json::parse(result.out);
  EXPECT_EQ(shown["name"], "walnut");
  EXPECT_EQ(shown["step"], 120);
  EXPECT_EQ(shown["loss"], 2.345678);
  EXPECT_EQ(shown["failure"], nullptr);
  EXPECT_EQ(shown["ranks"][1]["plan_epoch"], 2);
  EXPECT_EQ(shown["ranks"][1]["left"], false);
}

TEST_F(PersonCommandsTest, PlanIsExplainedOrGivenAsItIs) {
  Result result = Execute(RunPlanCommand, {run_});
  EXPECT_EQ(result.code, kExitInternal);
  EXPECT_EQ(result.err, "weft plan: the job has no plan yet\n");
  job_.client(0).PublishPlan("{\"epoch\": 2}", "two chunks hide the dispatch");
  result = Execute(RunPlanCommand, {run_});
  EXPECT_EQ(result.code, kExitDone);
  EXPECT_EQ(result.out, "two chunks hide the dispatch\n");
  EXPECT_EQ(Execute(RunPlanCommand, {run_, "--json"}).out, "{\"epoch\": 2}\n");
}

TEST_F(PersonCommandsTest, StopAndCheckpointReachRankZero) {
  const Result stop = Execute(RunStopCommand, {run_});
  EXPECT_EQ(stop.code, kExitDone);
  EXPECT_EQ(stop.out,
            "asked the job, at step 120, to end after its running step with a checkpoint\n");
  ControlRequests requests = job_.client(0).TakeRequests();
  EXPECT_TRUE(requests.stop);
  EXPECT_FALSE(requests.checkpoint);
  const Result checkpoint = Execute(RunCheckpointCommand, {run_, "--json"});
  EXPECT_EQ(checkpoint.code, kExitDone);
  EXPECT_EQ(json::parse(checkpoint.out), (json{{"requested", "checkpoint"}, {"step", 120}}));
  requests = job_.client(0).TakeRequests();
  EXPECT_FALSE(requests.stop);
  EXPECT_TRUE(requests.checkpoint);
}

TEST_F(PersonCommandsTest, AFailureIsShown) {
  job_.client(1).ReportFailure(absl::DataLossError("shard 2 is damaged"));
  AwaitTrue("the failure at the coordinator", [this] {
    return !json::parse(Execute(RunStatusCommand, {run_, "--json"}).out)["failure"].is_null();
  });
  const Result result = Execute(RunStatusCommand, {run_});
  EXPECT_NE(result.out.find("failure     rank 1 (node 1, host "), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("): shard 2 is damaged\n"), std::string::npos) << result.out;
}

TEST_F(PersonCommandsTest, AnotherJobAtTheSameAddressIsNoneHere) {
  auto service = LoadServiceFile(directory_.path());
  ASSERT_TRUE(service.ok());
  RunDirectory old;
  service->job_id += 1;
  ASSERT_TRUE(WriteServiceFile(old.path(), *service).ok());
  const Result result = Execute(RunStopCommand, {"--run", old.path()});
  EXPECT_EQ(result.code, kExitWorkerFailed);
  EXPECT_EQ(result.err, "weft stop: no job is running in " + old.path() +
                            " (another job answers at " + service->address + ")\n");
  EXPECT_FALSE(job_.client(0).TakeRequests().stop);
}

TEST(NoJobTest, SaysWhyNoJobIsRunning) {
  const RunDirectory directory;
  Result result = Execute(RunStatusCommand, {"--run", directory.path()});
  EXPECT_EQ(result.code, kExitWorkerFailed);
  EXPECT_EQ(result.err, "weft status: no job is running in " + directory.path() + " (" +
                            directory.path() + "/service.json does not exist)\n");

  ServiceFile dead{"127.0.0.1:1", 4242, "2024-01-01T00:00:00Z", 7};
  ASSERT_TRUE(WriteServiceFile(directory.path(), dead).ok());
  result = Execute(RunStatusCommand, {"--run", directory.path()});
  EXPECT_EQ(result.code, kExitWorkerFailed);
  EXPECT_EQ(result.err, "weft status: no job is running in " + directory.path() +
                            " (nothing answers at 127.0.0.1:1; the job of pid 4242, started "
                            "2024-01-01T00:00:00Z, has died)\n");
}

TEST(NoJobTest, RefusesUnknownOptionsAndKnowsHelp) {
  EXPECT_EQ(Execute(RunStopCommand, {"--now"}).code, kExitUsage);
  const Result help = Execute(RunStopCommand, {"--help"});
  EXPECT_EQ(help.code, kExitDone);
  EXPECT_EQ(help.out.rfind("weft stop [--run DIRECTORY] [--json]\n", 0), 0u) << help.out;
}

}  // namespace
}  // namespace weft
