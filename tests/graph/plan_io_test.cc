#include <gtest/gtest.h>

#include "base/random.h"
#include "graph/plan.h"
#include "tests/graph/small_graph.h"

namespace weft {
namespace {

std::string Replaced(std::string text, std::string_view what, std::string_view by) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(PlanIoTest, ReadsBackToTheSamePlanAndTheSameBytes) {
  const StepGraph graph = SmallGraph();
  Plan plan = SmallPlan();
  plan.placements.layers = {{0, {{0, 2}, {}, {1}}, 4}, {1, {{0, 1}, {0}, {2}}}};
  plan.placements.follow_load = FollowLoad{4, true, 1e-6, 2.5e-7, 0.125};
  plan.placements.homes = {{0, {2, 0, 1}}, {1, {1, 0, 2}}};
  const std::string text = PlanToJson(graph, plan);
  const absl::StatusOr<Plan> read = PlanFromJson(graph, text);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, plan);
  EXPECT_EQ(PlanToJson(graph, *read), text);
}

TEST(PlanIoTest, OneTaskALine) {
  const std::string text = PlanToJson(SmallGraph(), SmallPlan());
  EXPECT_NE(
      text.find("\n    {\"task\": \"dispatch.bwd.l0[1/2]\", \"stream\": \"inter\", \"begin\": "),
      std::string::npos);
  EXPECT_NE(text.find("\n    {\"task\": \"grad_all_reduce.bwd.l0[600:1000]\", "),
            std::string::npos);
}

TEST(PlanIoTest, ErrorsNameTheFieldAndWhatWasExpected) {
  const StepGraph graph = SmallGraph();
  const std::string good = PlanToJson(graph, SmallPlan());
  const struct {
    const char* what;
    const char* by;
    const char* says;
  } cases[] = {
      {"weft.plan", "weft.profile", "'format' must be \"weft.plan\""},
      {"\"version\": 7", "\"version\": 6", "'version' must be a whole number from 7 to 7"},
      {"\"sm_limit\": 16", "\"sm_limit\": -1", "'sm_limit' must be a whole number from 0"},
      {"\"epoch\": 3", "\"epoch\": -3", "'epoch'"},
      {"\"epoch\": 3", "\"epoch\": 3.5", "'epoch'"},
      {"\"epoch\": 3", "\"epoch\": 18446744073709551615", "'epoch'"},
      {"\"epoch\": 3", "\"epoch\": 1e999", "out of range"},
      {"\"epoch\": 3", "\"epoch\": 3, \"epoch\": 3", "given twice"},
      {"\"epoch\": 3", "\"epok\": 3", "unknown field \"epok\""},
      {"\"epoch\": 3,", "", "'epoch' is missing"},
      {"\"streams\": 3", "\"streams\": 4", "'streams' must be"},
      {"\"policy\": \"weft\"", "\"policy\": [\"weft\"]", "'policy' must be a string"},
      {"\"direction\": \"bwd\"", "\"direction\": \"up\"", "degrees[0]: field 'direction'"},
      {"\"degree\": 2", "\"degree\": 0", "degrees[0]: field 'degree'"},
      {"\"degrees\": [", "\"degrees\": [7, ", "degrees[0] must be an object"},
      {"\"placements\": [", "\"placements\": [7", "placements[0] must be an object"},
      {"\"placements\": [",
       "\"placements\": [{\"layer\": 0, \"experts\": [[0], 1], \"gathered\": 1}",
       "placements[0]: field 'experts' must list the experts of every EP member"},
      {"\"placements\": [", "\"placements\": [{\"layer\": 0, \"experts\": [[0]], \"gathered\": 0}",
       "placements[0]: field 'gathered' must be a whole number from 1"},
      {"\"follow_load\": null", "\"follow_load\": 3", "follow_load must be an object"},
      {"\"follow_load\": null",
       "\"follow_load\": {\"window\": 17, \"copies\": true, \"row_seconds\": 1, "
       "\"far_row_seconds\": 1, \"move_seconds\": 1}",
       "follow_load: field 'window' must be a whole number from 1 to 16"},
      {"\"follow_load\": null",
       "\"follow_load\": {\"window\": 1, \"copies\": 2, \"row_seconds\": 1, \"far_row_seconds\": "
       "1, \"move_seconds\": 1}",
       "follow_load: field 'copies' must be true or false"},
      {"\"homes\": [", "\"homes\": [7", "homes[0] must be an object"},
      {"\"homes\": [", "\"homes\": [{\"layer\": 0, \"experts\": [0, -1]}",
       "homes[0]: field 'experts' must list who lives at every home"},
      {"dispatch.bwd.l0[0/2]", "dispatch.bwd.l9[0/2]", "tasks[1]: field 'task'"},
      {"dispatch.bwd.l0[0/2]", "dispatch.bwd.l0", "tasks[1]: field 'task'"},
      {"dispatch.bwd.l0[0/2]", "dispatch.bwd.l0[0:2]", "tasks[1]: field 'task'"},
      {"dispatch.bwd.l0[0/2]", "dispatch.bwd.l0[0/2]x", "tasks[1]: field 'task'"},
      {"dispatch.bwd.l0[0/2]", "dispatch.bwd.l0[-1/2]", "tasks[1]: field 'task'"},
      {"dispatch.bwd.l0[0/2]", "dispatch.bwd.l0[9999999999/2]", "tasks[1]: field 'task'"},
      {"dispatch.bwd.l0[0/2]", "dispatch.bwd.l0[/]", "tasks[1]: field 'task'"},
      {"router.bwd.l0", "router.bwd.l0[0/1]", "tasks[0]: field 'task'"},
      {"\"stream\": \"inter\"", "\"stream\": \"intra\"", "'stream' must be \"inter\""},
      {"\"begin\": 0,", "\"begin\": null,", "tasks[0]: field 'begin' must be a number >= 0"},
      {"\"begin\": 0,", "\"begin\": -1,", "tasks[0]: field 'begin' must be a number >= 0"},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<Plan> read = PlanFromJson(graph, Replaced(good, c.what, c.by));
    ASSERT_EQ(read.status().code(), absl::StatusCode::kInvalidArgument) << c.by;
    EXPECT_NE(std::string(read.status().message()).find(c.says), std::string::npos)
        << read.status() << " should say: " << c.says;
  }
}

TEST(PlanIoTest, APlanOfAnotherGraphSaysSo) {
  StepGraph other = SmallGraph();
  other.ops[1].key.shape_class += 1;
  const absl::StatusOr<Plan> read = PlanFromJson(other, PlanToJson(SmallGraph(), SmallPlan()));
  EXPECT_NE(std::string(read.status().message()).find("another model"), std::string::npos);
}

// Whatever the bytes: a status, no crash; what is accepted writes and reads back.
TEST(PlanIoTest, SurvivesAnyBytes) {
  const StepGraph graph = SmallGraph();
  const std::string good = PlanToJson(graph, SmallPlan());
  for (size_t length = 0; length < good.size(); ++length) {
    const bool whole = PlanFromJson(graph, good.substr(0, length)).ok();
    ASSERT_EQ(whole, length + 1 >= good.size()) << length;  // only the last newline may be missing
  }
  const CounterRng random(1, "plan_io_test");
  uint64_t draw = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text = good;
    const int edits = 1 + static_cast<int>(random.Bits(draw++) % 3);
    for (int i = 0; i < edits; ++i) {
      const size_t at = random.Bits(draw++) % text.size();
      const char byte = static_cast<char>(random.Bits(draw++));
      if (random.Bits(draw++) % 2 == 0) {
        text[at] = byte;
      } else {
        text.insert(at, 1, "[]{}\",:0-9e"[static_cast<uint8_t>(byte) % 11]);
      }
    }
    const absl::StatusOr<Plan> read = PlanFromJson(graph, text);
    if (read.ok() && ValidatePlan(graph, *read).ok()) {
      const absl::StatusOr<Plan> again = PlanFromJson(graph, PlanToJson(graph, *read));
      ASSERT_TRUE(again.ok()) << again.status() << text;
      ASSERT_EQ(*again, *read);
    }
  }
  EXPECT_FALSE(PlanFromJson(graph, std::string(200000, '[')).ok());
  EXPECT_FALSE(PlanFromJson(graph, std::string("\0\xff\xfe", 3)).ok());
}

}  // namespace
}  // namespace weft
