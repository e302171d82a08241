#include "profiler/sinks/chrome_trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/profiler/two_nodes.h"

namespace weft {
namespace {

using Json = nlohmann::json;

Json Load(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return Json::parse(in);
}

std::vector<Json> EventsOf(const Json& trace, const std::string& phase) {
  std::vector<Json> events;
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] == phase) events.push_back(event);
  }
  return events;
}

class ChromeTraceTest : public testing::Test {
 protected:
  // Writes one file of the given steps of rank 2 and reads it back.
  Json WriteAndLoad(const std::vector<std::vector<TaskInterval>>& steps,
                    const TraceProcess& process = {2, 4, 1, "mpi", 1000}) const {
    const std::string path = testing::TempDir() + "chrome_trace_test.json";
    auto trace = ChromeTrace::Open(path, process);
    EXPECT_TRUE(trace.ok()) << trace.status();
    for (size_t i = 0; i < steps.size(); ++i) {
      const absl::Status added = (*trace)->AddStep(
          world.graph, world.plan, TwoNodes::kStep + static_cast<int64_t>(i), steps[i]);
      EXPECT_TRUE(added.ok()) << added;
    }
    EXPECT_TRUE((*trace)->Close().ok());
    EXPECT_TRUE((*trace)->Close().ok());
    return Load(path);
  }

  const TwoNodes world;
};

TEST_F(ChromeTraceTest, OneEventATaskWithEverythingInIt) {
  const std::vector<TaskInterval> tasks = {
      {TwoNodes::kAttention, StreamKind::kCompute, LinkClass::kNone, 2000, 2000, 5500, 64},
      {TwoNodes::kDispatch1, StreamKind::kInter, LinkClass::kInterNode, 3000, 4250, 9001, 128}};
  const Json trace = WriteAndLoad({tasks});
  EXPECT_EQ(trace["distributedInfo"], Json({{"rank", 2}, {"world_size", 4}, {"backend", "mpi"}}));
  const std::vector<Json> events = EventsOf(trace, "X");
  ASSERT_EQ(events.size(), 2u);
  const Json& dispatch = events[1];
  EXPECT_EQ(dispatch["name"], TaskName(world.graph, world.plan.tasks[TwoNodes::kDispatch1]));
  EXPECT_EQ(dispatch["cat"], "inter");
  EXPECT_EQ(dispatch["pid"], 2);
  EXPECT_DOUBLE_EQ(dispatch["ts"].get<double>(), 2.0);
  EXPECT_DOUBLE_EQ(dispatch["dur"].get<double>(), 6.001);
  EXPECT_EQ(dispatch["args"], Json({{"step", 7},
                                    {"epoch", 3},
                                    {"layer", 0},
                                    {"chunk", 1},
                                    {"size", 128.0},
                                    {"wait", 1.25}}));
}

TEST_F(ChromeTraceTest, NamesProcessAndThreads) {
  const std::vector<TaskInterval> tasks = {
      {TwoNodes::kAttention, StreamKind::kCompute, LinkClass::kNone, 0, 0, 10, 0},
      {TwoNodes::kDispatch0, StreamKind::kInter, LinkClass::kInterNode, 0, 0, 10, 0},
      {TwoNodes::kGather, StreamKind::kIntra, LinkClass::kIntraNode, 0, 0, 10, 0}};
  const Json trace = WriteAndLoad({tasks});
  std::map<int, std::string> threads;
  std::string process;
  for (const Json& event : EventsOf(trace, "M")) {
    if (event["name"] == "process_name") process = event["args"]["name"];
    if (event["name"] == "thread_name") threads[event["tid"]] = event["args"]["name"];
  }
  EXPECT_EQ(process, "rank 2 (node 1)");
  EXPECT_EQ(threads.size(), 3u);
  for (const Json& event : EventsOf(trace, "X")) EXPECT_EQ(event["cat"], threads[event["tid"]]);
}

TEST_F(ChromeTraceTest, EventsOfOneThreadNeverOverlap) {
  std::vector<std::vector<TaskInterval>> steps(2);
  for (int64_t i = 0; i < 40;
       ++i) {  // up to three at a time on one stream, across the steps as well
    const int64_t begin = 1000 + 100 * i;
    steps[static_cast<size_t>(i / 20)].push_back({TwoNodes::kDispatch0, StreamKind::kInter,
                                                  LinkClass::kInterNode, begin, begin,
                                                  begin + (i % 4 == 0 ? 299 : 100), 0});
  }
  std::reverse(steps[0].begin(), steps[0].end());
  const Json trace = WriteAndLoad(steps);
  std::map<int, std::vector<std::pair<int64_t, int64_t>>> by_thread;
  for (const Json& event : EventsOf(trace, "X")) {
    const int64_t begin = std::llround(event["ts"].get<double>() * 1000);
    by_thread[event["tid"]].emplace_back(begin,
                                         begin + std::llround(event["dur"].get<double>() * 1000));
  }
  EXPECT_EQ(by_thread.size(), 2u);
  size_t events = 0;
  for (auto& [tid, spans] : by_thread) {
    std::sort(spans.begin(), spans.end());
    events += spans.size();
    for (size_t i = 1; i < spans.size(); ++i) EXPECT_LE(spans[i - 1].second, spans[i].first);
  }
  EXPECT_EQ(events, 40u);
  size_t names = 0;
  for (const Json& event : EventsOf(trace, "M")) {
    if (event["name"] == "thread_name") {
      ++names;
      EXPECT_TRUE(event["args"]["name"] == "inter" || event["args"]["name"] == "inter 2");
    }
  }
  EXPECT_EQ(names, 2u);
}

TEST_F(ChromeTraceTest, HtaFindsTheRankInTheText) {
  WriteAndLoad({});
  std::ifstream in(testing::TempDir() + "chrome_trace_test.json");
  const std::string text(std::istreambuf_iterator<char>(in), {});
  // hta/common/trace_file.py searches for "rank":\s+(\d+) line by line.
  EXPECT_NE(text.find("\"rank\": 2,"), std::string::npos) << text;
}

TEST_F(ChromeTraceTest, EscapesStrings) {
  const std::string odd = std::string("a\"b\\c\n\x01") + "\xff";
  const Json trace = WriteAndLoad({}, {0, 1, 0, odd, 0});
  EXPECT_EQ(trace["distributedInfo"]["backend"], "a\"b\\c\n\x01\xEF\xBF\xBD");
  EXPECT_TRUE(EventsOf(trace, "X").empty());
}

TEST_F(ChromeTraceTest, LongUptimesKeepNanoseconds) {
  const int64_t month = 30LL * 86400 * 1'000'000'000;
  const std::vector<TaskInterval> tasks = {
      {0, StreamKind::kCompute, LinkClass::kNone, month + 1, month + 1, month + 3, 0}};
  const Json event = EventsOf(WriteAndLoad({tasks}, {0, 1, 0, "mpi", 0}), "X").at(0);
  EXPECT_EQ(std::llround(event["ts"].get<double>() * 1000), month + 1);
  EXPECT_DOUBLE_EQ(event["dur"].get<double>(), 0.002);
}

TEST_F(ChromeTraceTest, SeveralRanksAreSeveralProcesses) {
  const std::string path = testing::TempDir() + "chrome_trace_ranks.json";
  const std::vector<TaskInterval> tasks = {
      {TwoNodes::kAttention, StreamKind::kCompute, LinkClass::kNone, 2000, 2000, 5500, 64}};
  const auto trace = ChromeTrace::Open(path, {0, 4, 0, "simulated", 0});
  ASSERT_TRUE(trace.ok()) << trace.status();
  ASSERT_TRUE((*trace)->AddStep(world.graph, world.plan, 7, tasks).ok());
  ASSERT_TRUE((*trace)->StartProcess({3, 4, 1, "simulated", 1000}).ok());
  ASSERT_TRUE((*trace)->AddStep(world.graph, world.plan, 7, tasks).ok());
  ASSERT_TRUE((*trace)->Close().ok());
  const Json file = Load(path);
  EXPECT_EQ(file["distributedInfo"]["rank"], 0);
  const std::vector<Json> events = EventsOf(file, "X");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0]["pid"], 0);
  EXPECT_EQ(events[1]["pid"], 3);
  EXPECT_DOUBLE_EQ(events[1]["ts"].get<double>(), 1.0);
  std::vector<std::string> names;  // each process and each of its threads has one
  for (const Json& event : EventsOf(file, "M")) {
    if (event["name"] == "process_name" || event["name"] == "thread_name") {
      names.push_back(event["args"]["name"]);
    }
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"rank 0 (node 0)", "compute", "rank 3 (node 1)", "compute"}));
}

TEST_F(ChromeTraceTest, ErrorsNameTheFile) {
  const auto missing = ChromeTrace::Open(testing::TempDir() + "no/such/trace.json", {});
  ASSERT_FALSE(missing.ok());
  EXPECT_NE(missing.status().message().find("no/such/trace.json"), absl::string_view::npos);

  auto full = ChromeTrace::Open("/dev/full", {});
  ASSERT_TRUE(full.ok()) << full.status();
  const absl::Status closed = (*full)->Close();
  EXPECT_EQ(closed.code(), absl::StatusCode::kDataLoss) << closed;
  EXPECT_NE(closed.message().find("/dev/full"), absl::string_view::npos) << closed;
}

}  // namespace
}  // namespace weft
