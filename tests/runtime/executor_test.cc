#include "runtime/executor.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "base/thread_clock.h"
#include "graph/fixed_plan.h"
#include "gtest/gtest.h"
#include "tests/graph/small_graph.h"
#include "tests/support/shuffle_order.h"

namespace weft {
namespace {

constexpr RankId kRank{5};

// A program whose tasks the test writes, and which remembers when each began and ended: numbers of
// one count over all streams.
class ScriptedProgram final : public StepProgram {
 public:
  struct Ran {
    PlanTask task;
    StreamKind stream = StreamKind::kCompute;
    int64_t began = 0;
    int64_t ended = 0;
  };
  using Body = std::function<absl::Status(const Op& op, const PlanTask& task)>;

  Body body = [](const Op&, const PlanTask&) { return absl::OkStatus(); };
  absl::Status prepare_status;
  std::vector<Plan> prepared;

  absl::Status Prepare(const StepGraph& /*graph*/, const Plan& plan) override {
    prepared.push_back(plan);
    return prepare_status;
  }

  absl::Status Run(const Op& op, const PlanTask& task, double* size) override {
    Ran ran{task, op.stream, Tick(), 0};
    absl::Status status = body(op, task);
    *size = op.size / task.num_chunks;
    ran.ended = Tick();
    absl::MutexLock lock(&mutex_);
    ran_.push_back(ran);
    return status;
  }

  // In the order in which the tasks ended; forgets them.
  std::vector<Ran> TakeRan() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(ran_, {});
  }

 private:
  int64_t Tick() {
    absl::MutexLock lock(&mutex_);
    return ++ticks_;
  }

  absl::Mutex mutex_;
  int64_t ticks_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Ran> ran_ ABSL_GUARDED_BY(mutex_);
};

// Where tasks of different streams meet: Arrive returns OK to all when `expected` have come.
class MeetingPoint {
 public:
  explicit MeetingPoint(int expected) : missing_(expected) {}

  absl::Status Arrive() {
    absl::MutexLock lock(&mutex_);
    if (--missing_ <= 0) all_here_.SignalAll();
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (missing_ > 0) {
      if (all_here_.WaitWithDeadline(&mutex_, deadline) && missing_ > 0) {
        return absl::DeadlineExceededError("the other streams did not come");
      }
    }
    return absl::OkStatus();
  }

 private:
  absl::Mutex mutex_;
  absl::CondVar all_here_;
  int missing_ ABSL_GUARDED_BY(mutex_);
};

// One task a stream, none needs another.
StepGraph ThreeStreams() {
  StepGraph graph;
  for (const StreamKind stream : {StreamKind::kCompute, StreamKind::kIntra, StreamKind::kInter}) {
    Op op;
    op.id = OpId{static_cast<int32_t>(graph.ops.size())};
    op.key.kind = stream == StreamKind::kCompute ? OpKind::kEmbedding
                  : stream == StreamKind::kIntra ? OpKind::kGradReduceScatter
                                                 : OpKind::kGradAllReduce;
    op.stream = stream;
    op.size = 1;
    graph.ops.push_back(op);
  }
  return graph;
}

class ExecutorTest : public testing::Test {
 protected:
  absl::Status Install(const StepGraph& graph, Plan plan) {
    return executor_.Install(std::make_shared<const StepGraph>(graph),
                             std::make_shared<const Plan>(std::move(plan)));
  }

  std::mutex mutex_;
  std::vector<absl::Status> failures_;  // what on_failure was told
  ScriptedProgram program_;
  StreamSet streams_;
  Executor executor_{kRank, streams_, program_, MonotonicClock(), [this](const absl::Status& s) {
                       const std::lock_guard lock(mutex_);
                       failures_.push_back(s);
                     }};
};

TEST_F(ExecutorTest, StreamsRunBesideEachOther) {
  ASSERT_TRUE(Install(ThreeStreams(), MakeFixedPlan(ThreeStreams(), {})).ok());
  MeetingPoint point(3);
  program_.body = [&](const Op&, const PlanTask&) { return point.Arrive(); };
  const auto report = executor_.RunStep(0);
  ASSERT_TRUE(report.ok()) << report.status();
  // All had begun before any ended.
  int64_t latest_begin = 0;
  int64_t earliest_end = INT64_MAX;
  for (const Span& span : report->spans) {
    latest_begin = std::max(latest_begin, span.begin_nanos);
    earliest_end = std::min(earliest_end, span.end_nanos);
  }
  EXPECT_LE(latest_begin, earliest_end);
}

TEST_F(ExecutorTest, SerializedTasksRunOneAtATimeInPlanOrder) {
  for (const uint64_t seed : {1, 2, 3}) {
    Plan plan = ShuffleOrder(SmallGraph(), SmallPlan(), seed);
    plan.streams = 1;
    ASSERT_TRUE(Install(SmallGraph(), plan).ok());
    const auto report = executor_.RunStep(0);
    ASSERT_TRUE(report.ok()) << report.status();
    const std::vector<ScriptedProgram::Ran> ran = program_.TakeRan();
    ASSERT_EQ(ran.size(), plan.tasks.size());
    for (size_t i = 0; i < ran.size(); ++i) {
      EXPECT_EQ(ran[i].task, plan.tasks[i]) << "seed " << seed << ", place " << i;
      if (i > 0) {
        EXPECT_LT(ran[i - 1].ended, ran[i].began);
      }
    }
  }
}

TEST_F(ExecutorTest, WithTwoStreamsAllCommunicationRunsInPlanOrder) {
  const StepGraph graph = SmallGraph();
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    Plan plan = ShuffleOrder(graph, SmallPlan(), seed);
    plan.streams = 2;
    ASSERT_TRUE(Install(graph, plan).ok());
    ASSERT_TRUE(executor_.RunStep(0).ok());
    std::vector<PlanTask> planned;
    for (const PlanTask& task : plan.tasks) {
      if (graph.op(task.op).stream != StreamKind::kCompute) planned.push_back(task);
    }
    std::vector<PlanTask> communicated;
    for (const ScriptedProgram::Ran& ran : program_.TakeRan()) {
      if (graph.op(ran.task.op).stream != StreamKind::kCompute) communicated.push_back(ran.task);
    }
    EXPECT_EQ(communicated, planned) << "seed " << seed;
  }
}

TEST_F(ExecutorTest, EachStreamFollowsThePlanAndNoTaskOvertakesWhatItNeeds) {
  const StepGraph graph = SmallGraph();
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Plan plan = ShuffleOrder(graph, SmallPlan(), seed);
    ASSERT_TRUE(Install(graph, plan).ok());
    ASSERT_TRUE(executor_.RunStep(0).ok());
    std::map<StreamKind, std::vector<PlanTask>> planned, really;
    for (const PlanTask& task : plan.tasks) planned[graph.op(task.op).stream].push_back(task);
    const std::vector<ScriptedProgram::Ran> ran = program_.TakeRan();
    for (const ScriptedProgram::Ran& r : ran) really[r.stream].push_back(r.task);
    EXPECT_EQ(really, planned) << "seed " << seed;

    const auto find = [&](int32_t task) {
      return *std::find_if(ran.begin(), ran.end(), [&](const ScriptedProgram::Ran& r) {
        return r.task == plan.tasks[static_cast<size_t>(task)];
      });
    };
    const std::vector<std::vector<int32_t>> needs = TaskNeeds(graph, plan);
    for (size_t i = 0; i < needs.size(); ++i) {
      for (const int32_t need : needs[i]) {
        EXPECT_LT(find(need).ended, find(static_cast<int32_t>(i)).began)
            << TaskName(graph, plan.tasks[i]) << " began before "
            << TaskName(graph, plan.tasks[static_cast<size_t>(need)]) << " had ended, seed "
            << seed;
      }
    }
  }
}

TEST_F(ExecutorTest, EveryTaskLeavesAWholeSpan) {
  const Plan plan = SmallPlan();
  ASSERT_TRUE(Install(SmallGraph(), plan).ok());
  for (const int64_t step : {7, 8}) {
    const auto report = executor_.RunStep(step);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_EQ(report->step, step);
    EXPECT_EQ(report->epoch, plan.epoch);
    EXPECT_GT(report->seconds, 0);
    ASSERT_EQ(report->spans.size(), plan.tasks.size());
    for (size_t i = 0; i < plan.tasks.size(); ++i) {
      const Span& span = report->spans[i];
      EXPECT_EQ(span.step, step);
      EXPECT_EQ(span.epoch, plan.epoch);
      EXPECT_EQ(span.rank, kRank.value);
      EXPECT_EQ(span.task, static_cast<int32_t>(i));
      EXPECT_GT(span.begin_nanos, 0);
      EXPECT_GE(span.end_nanos, span.begin_nanos);
      const PlanTask& task = plan.tasks[i];
      EXPECT_EQ(span.size, SmallGraph().op(task.op).size / task.num_chunks);
    }
  }
}

TEST_F(ExecutorTest, WithoutSpansTheStepRunsAllTheSame) {
  ASSERT_TRUE(Install(SmallGraph(), SmallPlan()).ok());
  const auto report = executor_.RunStep(0, /*record_spans=*/false);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->spans.empty());
  EXPECT_EQ(program_.TakeRan().size(), SmallPlan().tasks.size());
}

TEST_F(ExecutorTest, AFailureSaysWhereItWasAndTheNextStepRuns) {
  ASSERT_TRUE(Install(SmallGraph(), SmallPlan()).ok());
  program_.body = [](const Op& op, const PlanTask& task) {
    if (op.key.kind == OpKind::kExpert && task.chunk == 1) {
      return absl::UnavailableError("the other side is gone");
    }
    return absl::OkStatus();
  };
  const auto failed = executor_.RunStep(12);
  const auto expected = absl::UnavailableError(
      "step 12, epoch 3, expert.bwd.l0[1/2], rank 5: the other side is gone");
  EXPECT_EQ(failed.status(), expected);
  ASSERT_EQ(failures_.size(), 1u);
  EXPECT_EQ(failures_[0], expected);
  // What needs the failed task did not run.
  for (const ScriptedProgram::Ran& ran : program_.TakeRan()) {
    EXPECT_NE(SmallGraph().op(ran.task.op).key.kind, OpKind::kOptimizer);
  }

  program_.body = [](const Op&, const PlanTask&) { return absl::OkStatus(); };
  const auto report = executor_.RunStep(13);
  ASSERT_TRUE(report.ok()) << report.status();
  for (const Span& span : report->spans) EXPECT_EQ(span.step, 13);
  EXPECT_EQ(program_.TakeRan().size(), SmallPlan().tasks.size());
  EXPECT_EQ(failures_.size(), 1u);
}

TEST_F(ExecutorTest, TheFirstOfManyFailuresIsToldOnce) {
  ASSERT_TRUE(Install(ThreeStreams(), MakeFixedPlan(ThreeStreams(), {})).ok());
  MeetingPoint point(3);
  program_.body = [&](const Op& op, const PlanTask&) {
    const absl::Status met = point.Arrive();
    return met.ok() ? absl::AbortedError(Name(op.stream).data()) : met;
  };
  const auto failed = executor_.RunStep(0);
  EXPECT_EQ(failed.status().code(), absl::StatusCode::kAborted);
  ASSERT_EQ(failures_.size(), 1u);
}

// on_failure is what frees a task of another stream that waits for a peer.
TEST_F(ExecutorTest, OnFailureIsCalledWhileOtherStreamsStillWait) {
  absl::Mutex mutex;
  bool aborted = false;
  Executor executor(kRank, streams_, program_, MonotonicClock(), [&](const absl::Status&) {
    absl::MutexLock lock(&mutex);
    aborted = true;
  });
  const auto graph = std::make_shared<const StepGraph>(ThreeStreams());
  ASSERT_TRUE(
      executor.Install(graph, std::make_shared<const Plan>(MakeFixedPlan(*graph, {}))).ok());
  program_.body = [&](const Op& op, const PlanTask&) {
    if (op.stream == StreamKind::kInter) return absl::UnavailableError("link down");
    absl::MutexLock lock(&mutex);
    if (mutex.AwaitWithTimeout(absl::Condition(&aborted), absl::Seconds(20))) {
      return absl::OkStatus();
    }
    return absl::DeadlineExceededError("nobody aborted");
  };
  EXPECT_EQ(executor.RunStep(0).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(ExecutorTest, AnInvalidPlanLeavesTheOldOneInstalled) {
  ASSERT_TRUE(Install(SmallGraph(), SmallPlan()).ok());
  Plan incomplete = SmallPlan();
  incomplete.epoch = 4;
  incomplete.tasks.pop_back();
  EXPECT_EQ(Install(SmallGraph(), incomplete).code(), absl::StatusCode::kInvalidArgument);
  Plan backwards = SmallPlan();
  std::reverse(backwards.tasks.begin(), backwards.tasks.end());
  EXPECT_EQ(Install(SmallGraph(), backwards).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(program_.prepared.size(), 1u) << "the program saw a plan that is not valid";

  Plan unpreparable = SmallPlan();
  unpreparable.epoch = 5;
  program_.prepare_status = absl::ResourceExhaustedError("no room");
  EXPECT_EQ(Install(SmallGraph(), unpreparable), program_.prepare_status);

  EXPECT_EQ(*executor_.plan(), SmallPlan());
  const auto report = executor_.RunStep(0);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->epoch, SmallPlan().epoch);
}

TEST_F(ExecutorTest, AnotherGraphCanBeInstalled) {
  ASSERT_TRUE(Install(SmallGraph(), SmallPlan()).ok());
  ASSERT_TRUE(executor_.RunStep(0).ok());
  ASSERT_TRUE(Install(ThreeStreams(), MakeFixedPlan(ThreeStreams(), {})).ok());
  const auto report = executor_.RunStep(1);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->spans.size(), 3u);
}

// What a device does for the communicators of one rank whose collectives are only enqueued: it runs
// them in the order in which they come, whichever stream and group they are of.
class FakeQueue {
 public:
  void Enqueue(const PlanTask& task) {
    absl::MutexLock lock(&mutex_);
    queue_.push_back(task);
  }
  std::vector<PlanTask> Take() {
    absl::MutexLock lock(&mutex_);
    return std::exchange(queue_, {});
  }

 private:
  absl::Mutex mutex_;
  std::vector<PlanTask> queue_ ABSL_GUARDED_BY(mutex_);
};

// SmallGraph, whose collectives know their groups, and its plan.
StepGraph GroupedGraph() {
  StepGraph graph = SmallGraph();
  for (Op& op : graph.ops) {
    if (op.stream == StreamKind::kInter) op.key.group = GroupKind::kEp;
    if (op.stream == StreamKind::kIntra) op.key.group = GroupKind::kIntra;
  }
  return graph;
}

Plan GroupedPlan() {
  Plan plan = SmallPlan();
  plan.graph_fingerprint = FingerprintOf(GroupedGraph());
  return plan;
}

// Two ranks that are not equally fast: with another order on one than on the other, collectives of
// two groups would wait for each other on the devices.
TEST(StreamOrderedExecutorTest, AllRanksEnqueueTheirCollectivesInPlanOrder) {
  const StepGraph graph = GroupedGraph();
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Plan plan = ShuffleOrder(graph, GroupedPlan(), seed);
    std::vector<PlanTask> planned;
    for (const PlanTask& task : plan.tasks)
      if (graph.op(task.op).key.group != GroupKind::kNone) planned.push_back(task);
    std::set<StreamKind> streams;
    for (const PlanTask& task : planned) streams.insert(graph.op(task.op).stream);
    ASSERT_GT(streams.size(), 1u) << "there is nothing to order";
    for (const uint64_t rank : {0, 1}) {
      FakeQueue queue;
      ScriptedProgram program;
      program.body = [&](const Op& op, const PlanTask& task) {
        // Uneven work before a collective, as much as the threads of others need to overtake.
        const CounterRng rng(seed, absl::StrCat("rank ", rank));
        const int64_t end =
            MonotonicClock().NowNanos() +
            static_cast<int64_t>(
                rng.Uniform(static_cast<uint64_t>(100 * op.id.value + task.chunk)) * 300'000);
        while (MonotonicClock().NowNanos() < end) std::this_thread::yield();
        if (op.key.group != GroupKind::kNone) queue.Enqueue(task);
        return absl::OkStatus();
      };
      StreamSet set;
      Executor executor(kRank, set, program, MonotonicClock(), [](const absl::Status&) {},
                        {.in_plan_order = true});
      ASSERT_TRUE(
          executor
              .Install(std::make_shared<const StepGraph>(graph), std::make_shared<const Plan>(plan))
              .ok());
      for (int64_t step = 0; step < 2; ++step) {
        ASSERT_TRUE(executor.RunStep(step).ok());
        EXPECT_EQ(queue.Take(), planned) << "seed " << seed << ", rank " << rank;
      }
    }
  }
}

TEST(StreamOrderedExecutorTest, AFailureLetsThoseGoThatWaitForTheirTurn) {
  const StepGraph graph = GroupedGraph();
  ScriptedProgram program;
  int failures = 0;
  StreamSet streams;
  Executor executor(kRank, streams, program, MonotonicClock(),
                    [&](const absl::Status&) { ++failures; }, {.in_plan_order = true});
  ASSERT_TRUE(executor
                  .Install(std::make_shared<const StepGraph>(graph),
                           std::make_shared<const Plan>(GroupedPlan()))
                  .ok());
  for (const OpKind kind : {OpKind::kDispatch, OpKind::kExpert, OpKind::kGradReduceScatter}) {
    program.body = [&](const Op& op, const PlanTask&) {
      if (op.key.kind == kind) return absl::UnavailableError("the other side is gone");
      return absl::OkStatus();
    };
    EXPECT_TRUE(absl::IsUnavailable(executor.RunStep(1).status()));
  }
  EXPECT_EQ(failures, 3);
  program.body = [](const Op&, const PlanTask&) { return absl::OkStatus(); };
  EXPECT_TRUE(executor.RunStep(2).ok());
}

TEST(StreamOrderedExecutorTest, WhatFailedAfterItsTaskIsFoundWhenTheStepEnds) {
  const StepGraph graph = GroupedGraph();
  ScriptedProgram program;
  absl::Status health;
  std::vector<absl::Status> failures;
  StreamSet streams;
  Executor executor(kRank, streams, program, MonotonicClock(),
                    [&](const absl::Status& cause) { failures.push_back(cause); },
                    {.in_plan_order = true, .health = [&] { return health; }});
  ASSERT_TRUE(executor
                  .Install(std::make_shared<const StepGraph>(graph),
                           std::make_shared<const Plan>(GroupedPlan()))
                  .ok());
  EXPECT_TRUE(executor.RunStep(1).ok());
  EXPECT_TRUE(failures.empty());

  health = absl::UnavailableError("group \"ep\", AllToAllV: NCCL: remote error");
  const auto expected = absl::UnavailableError(
      "step 2, epoch 3, rank 5: group \"ep\", AllToAllV: NCCL: remote error");
  EXPECT_EQ(executor.RunStep(2).status(), expected);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0], expected);

  // A task that found its communicator aborted for it does not hide it; another error stays.
  program.body = [](const Op&, const PlanTask&) { return absl::AbortedError("aborted: ..."); };
  EXPECT_EQ(executor.RunStep(2).status(), expected);
  program.body = [](const Op&, const PlanTask&) { return absl::InternalError("a mistake"); };
  EXPECT_TRUE(absl::IsInternal(executor.RunStep(2).status()));
}

// Computes for a while, sends, computes.
StepGraph ComputeSendCompute() {
  StepGraph graph;
  for (int32_t i = 0; i < 3; ++i) {
    Op op;
    op.id = OpId{i};
    op.key.kind = i == 1 ? OpKind::kGradAllReduce : OpKind::kEmbedding;
    op.key.group = i == 1 ? GroupKind::kInter : GroupKind::kNone;
    op.stream = i == 1 ? StreamKind::kInter : StreamKind::kCompute;
    op.layer = i;
    op.size = 1;
    if (i > 0) op.needs = {OpId{i - 1}};
    graph.ops.push_back(op);
  }
  return graph;
}

TEST(EmulatedExecutorTest, ComputationsTakeTheirTimeFromTheEndOfTheirNeeds) {
  constexpr int64_t kWork = 500'000;  // nanoseconds of processor time
  constexpr double kShare = 0.05;
  ScriptedProgram program;
  program.body = [](const Op& op, const PlanTask&) {
    const int64_t begin = ThreadClock().NowNanos();
    while (op.stream == StreamKind::kCompute && ThreadClock().NowNanos() < begin + kWork) {
    }
    return absl::OkStatus();
  };
  StreamSet streams({.share = kShare, .processors = {}});
  Executor executor(kRank, streams, program, MonotonicClock(), [](const absl::Status&) {});
  const StepGraph graph = ComputeSendCompute();
  ASSERT_TRUE(executor
                  .Install(std::make_shared<const StepGraph>(graph),
                           std::make_shared<const Plan>(MakeFixedPlan(graph, {})))
                  .ok());
  for (const bool record_spans : {true, false}) {
    const auto report = executor.RunStep(1, record_spans);
    ASSERT_TRUE(report.ok()) << report.status();
    EXPECT_GE(report->seconds, 2 * kWork * 1e-9 / kShare);
    if (!record_spans) continue;
    const std::vector<Span>& spans = report->spans;
    for (const size_t i : {0u, 2u}) {
      EXPECT_GE(static_cast<double>(spans[i].end_nanos - spans[i].begin_nanos), kWork / kShare);
    }
    EXPECT_EQ(spans[2].begin_nanos, spans[1].end_nanos);
  }
}

}  // namespace
}  // namespace weft
