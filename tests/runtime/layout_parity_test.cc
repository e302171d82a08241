// Every layout trains the same model: N ranks equal one rank. Every plan gives the same bits.

#include <gtest/gtest.h>

#include <cmath>
#include <mutex>

#include "tests/runtime/run_ranks.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

// Two results are the same training, bit for bit.
void ExpectSameBits(const std::vector<TinyResult>& a, const std::vector<TinyResult>& b,
                    const std::string& what) {
  EXPECT_EQ(DifferenceOf(a, b), "") << what;
}

struct LayoutCase {
  const char* name;
  Topology topology;
  Layout layout;
  int32_t micro_batches;
};

class LayoutParityTest : public testing::TestWithParam<std::tuple<Backbone, LayoutCase>> {};

TEST_P(LayoutParityTest, EqualsOneRank) {
  const auto& [backbone, c] = GetParam();
  TinyJob job;
  job.model = TinyModel(backbone);
  const std::vector<TinyResult> one = RunRanks(job);
  job.topology = c.topology;
  job.layout = c.layout;
  job.micro_batches = c.micro_batches;
  job.forward_degree = 2;
  job.backward_degree = 3;
  job.slices = 2;
  const std::vector<TinyResult> many = RunRanks(job);
  ASSERT_EQ(many[0].losses.size(), one[0].losses.size());
  for (size_t step = 0; step < one[0].losses.size(); ++step) {
    EXPECT_NEAR(many[0].losses[step], one[0].losses[step], 2e-5 * one[0].losses[step])
        << "step " << step;
    EXPECT_NEAR(many[0].balances[step], one[0].balances[step], 2e-5 * one[0].balances[step])
        << "step " << step;
    EXPECT_NEAR(many[0].norms[step], one[0].norms[step], 2e-4 * one[0].norms[step])
        << "step " << step;
    for (const TinyResult& rank : many) EXPECT_EQ(rank.losses[step], many[0].losses[step]);
  }
  const auto whole = Merge(many, one[0]);
  for (const auto& [name, values] : one[0].values) {
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_NEAR(whole.at(name)[i], values[i], 2e-4) << name << "[" << i << "]";
    }
  }
}

constexpr LayoutCase kLayouts[] = {
    {"MicroBatches", {1, 1}, {1, 1, 1}, 4},
    {"Ep2", {2, 1}, {1, 2, 1}, 1},
    {"Esp2", {2, 2}, {1, 1, 2}, 1},
    {"Edp2", {2, 1}, {2, 1, 1}, 1},
    {"Ep4", {4, 2}, {1, 4, 1}, 1},
    {"Ep4OneNode", {4, 4}, {1, 4, 1}, 1},
    {"Ep2Esp2", {4, 2}, {1, 2, 2}, 1},
    {"Ep2Esp2MicroBatches", {4, 2}, {1, 2, 2}, 2},
    {"Edp2Ep2", {4, 2}, {2, 2, 1}, 1},
    {"Edp2Esp2", {4, 2}, {2, 1, 2}, 1},
    {"Esp4", {4, 4}, {1, 1, 4}, 1},
    {"Mp2", {2, 2}, {2, 1, 1, 2}, 1},
    {"Mp2Ep2", {2, 2}, {1, 2, 1, 2}, 2},
    {"Mp2Ep4", {4, 2}, {1, 4, 1, 2}, 1},
    {"Mp2Ep4OneNode", {4, 4}, {1, 4, 1, 2}, 2},
    {"Mp2Ep2Esp2", {4, 2}, {1, 2, 2, 2}, 2},
    {"Mp2Esp4", {4, 4}, {1, 1, 4, 2}, 1},
    {"Mp2Edp2Ep2", {4, 2}, {2, 2, 1, 2}, 1},
    {"Mp2Edp2Ep2Esp2", {8, 4}, {2, 2, 2, 2}, 1},
};

// The same, where key and value heads can be shared out among four.
constexpr LayoutCase kLayoutsOfGpt2[] = {
    {"Mp4", {4, 4}, {1, 4, 1, 4}, 1},
    {"Mp4Ep2Esp2Edp2", {8, 4}, {2, 2, 2, 4}, 1},
};

std::string NameOfCase(const testing::TestParamInfo<std::tuple<Backbone, LayoutCase>>& test) {
  const Backbone backbone = std::get<0>(test.param);
  return std::string(backbone == Backbone::kGpt2 ? "Gpt2" : "Mixtral") +
         std::get<1>(test.param).name;
}

INSTANTIATE_TEST_SUITE_P(Layouts, LayoutParityTest,
                         testing::Combine(testing::Values(Backbone::kGpt2, Backbone::kMixtral),
                                          testing::ValuesIn(kLayouts)),
                         NameOfCase);
INSTANTIATE_TEST_SUITE_P(LayoutsOfGpt2, LayoutParityTest,
                         testing::Combine(testing::Values(Backbone::kGpt2),
                                          testing::ValuesIn(kLayoutsOfGpt2)),
                         NameOfCase);

// Adam hides the length of a gradient; here it is seen itself, before any update, of every
// parameter.
TEST(TensorParallelTest, EveryGradientIsThatOfOneRank) {
  struct Case {
    Backbone backbone;
    Topology topology;
    Layout layout;
    int32_t micro_batches;
  };
  for (const Case& c : {Case{Backbone::kGpt2, {2, 2}, {1, 2, 1, 2}, 2},
                        Case{Backbone::kMixtral, {2, 2}, {2, 1, 1, 2}, 1},
                        Case{Backbone::kGpt2, {8, 4}, {2, 2, 2, 4}, 1},
                        Case{Backbone::kMixtral, {4, 2}, {1, 2, 2, 2}, 2},
                        Case{Backbone::kMixtral, {8, 4}, {1, 4, 2, 2}, 1}}) {
    TinyJob job;
    job.model = TinyModel(c.backbone);
    job.model.num_layers = 3;
    job.model.moe.every = 2;  // dense layers, too
    job.steps = 1;
    const std::vector<TinyResult> one = RunRanks(job);
    job.topology = c.topology;
    job.layout = c.layout;
    job.micro_batches = c.micro_batches;
    job.cut_blocks = true;
    job.forward_degree = 2;
    job.backward_degree = 3;
    const std::vector<TinyResult> many = RunRanks(job);
    const auto whole = Merge(many, one[0], &TinyResult::gradients);
    for (const auto& [name, gradient] : one[0].gradients) {
      double norm = 0;
      for (const float g : gradient) norm += double{g} * g;
      norm = std::sqrt(norm);
      EXPECT_GT(norm, 0) << name;
      for (size_t i = 0; i < gradient.size(); ++i)
        ASSERT_NEAR(whole.at(name)[i], gradient[i], 1e-5 * norm) << name << "[" << i << "]";
    }
  }
}

// Experts that every token visits are replicated, run beside the exchange, and give their part of
// every gradient.
TEST(SharedExpertsTest, EveryLayoutAndEveryPlanTrainsTheModelOfOneRank) {
  struct Case {
    Backbone backbone;
    Topology topology;
    Layout layout;
    int32_t micro_batches;
  };
  for (const Case& c :
       {Case{Backbone::kMixtral, {1, 1}, {1, 1, 1}, 2}, Case{Backbone::kGpt2, {4, 2}, {1, 2, 2}, 2},
        Case{Backbone::kMixtral, {4, 2}, {1, 4, 1, 2}, 1},
        Case{Backbone::kMixtral, {4, 2}, {2, 2, 1, 1, 1}, 1}}) {
    TinyJob job;
    job.model = TinyModel(c.backbone);
    job.model.num_layers = 3;
    job.model.moe.every = 2;
    job.model.moe.shared_experts = 2;
    job.steps = 4;
    const std::vector<TinyResult> one = RunRanks(job);
    job.topology = c.topology;
    job.layout = c.layout;
    job.micro_batches = c.micro_batches;
    const std::vector<TinyResult> many = RunRanks(job);
    const auto whole = Merge(many, one[0]);
    int32_t shared = 0;
    for (const auto& [name, values] : one[0].values) {
      if (name.find("shared_experts") != std::string::npos) ++shared;
      for (size_t i = 0; i < values.size(); ++i)
        ASSERT_NEAR(whole.at(name)[i], values[i], 2e-4) << name << "[" << i << "]";
    }
    EXPECT_EQ(shared, c.backbone == Backbone::kGpt2 ? 4 : 2);
    for (size_t step = 0; step < one[0].losses.size(); ++step) {
      EXPECT_NEAR(many[0].losses[step], one[0].losses[step], 2e-5 * one[0].losses[step]);
      EXPECT_NEAR(many[0].norms[step], one[0].norms[step], 2e-4 * one[0].norms[step]);
    }
    job.slices = 3;
    for (const bool cut_blocks : {false, true}) {
      job.cut_blocks = cut_blocks;
      for (const auto& [forward, backward] : {std::pair(1, 2), std::pair(4, 3)}) {
        job.forward_degree = forward;
        job.backward_degree = backward;
        job.shuffle =
            uint64_t{7} * static_cast<uint64_t>(forward) + static_cast<uint64_t>(backward);
        ExpectSameBits(RunRanks(job), many,
                       testing::PrintToString(std::tuple(cut_blocks, forward, backward)));
      }
    }
  }
}

TEST(TensorParallelTest, HeadsThatCannotBeSharedOutAreRefusedBeforeAnythingIsConnected) {
  TinyJob job;
  job.model = TinyModel(Backbone::kMixtral);  // two key and value heads
  job.topology = {4, 4};
  job.layout = {1, 4, 1, 4};
  const absl::Status status = SpawnRanks(
      4, [&](Backend& backend) -> absl::Status { return RunTinyJob(backend, job).status(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("it must divide the 4 attention heads and the 2 key"),
            std::string::npos)
      << status;
}

TinyJob FourRanks(const Layout& layout) {
  TinyJob job;
  job.model = TinyModel(Backbone::kMixtral);
  job.topology = {4, 2};
  job.layout = layout;
  return job;
}

TEST(PlanBitsTest, DegreesSlicesAndOrderChangeNothing) {
  for (const Layout& layout : {Layout{1, 2, 2}, Layout{1, 4, 1}, Layout{1, 4, 1, 2}}) {
    const std::vector<TinyResult> base = RunRanks(FourRanks(layout));
    for (const int32_t forward : {1, 2, 4}) {
      for (const int32_t backward : {1, 2, 4}) {
        TinyJob job = FourRanks(layout);
        job.forward_degree = forward;
        job.backward_degree = backward;
        job.slices = forward + backward;
        job.shuffle =
            uint64_t{10} * static_cast<uint64_t>(forward) + static_cast<uint64_t>(backward);
        ExpectSameBits(RunRanks(job), base, testing::PrintToString(std::pair(forward, backward)));
      }
    }
  }
}

// Attention, router, counts and unpermute in the pipeline: by whole sequences, and by tiles of
// causal sequences; over one rank, too.
TEST(PlanBitsTest, BlocksInThePipelineChangeNothing) {
  for (const Layout& layout : {Layout{1, 2, 2}, Layout{1, 4, 1}, Layout{2, 1, 2}, Layout{1, 1, 1},
                               Layout{1, 4, 1, 2}, Layout{2, 1, 2, 2}}) {
    for (const int32_t length : {TinyJob::kLength, 128}) {
      TinyJob job = FourRanks(layout);
      if (layout.world_size() == 1) job.topology = {1, 1};
      job.length = job.model.max_sequence_length = length;
      job.steps = 3;
      if (layout.ep == 4 && length == 128) job.micro_batches = 2;
      job.model.moe.capacity_mode = CapacityMode::kFactor;
      job.model.moe.capacity_factor = 1.1;
      const std::vector<TinyResult> base = RunRanks(job);
      job.cut_blocks = true;
      for (const auto& [forward, backward] :
           {std::pair(2, 2), std::pair(4, 1), std::pair(3, 4), std::pair(1, 2), std::pair(4, 3)}) {
        job.forward_degree = forward;
        job.backward_degree = backward;
        job.shuffle =
            uint64_t{10} * static_cast<uint64_t>(forward) + static_cast<uint64_t>(backward);
        ExpectSameBits(RunRanks(job), base,
                       testing::PrintToString(std::tuple(length, forward, backward)));
      }
    }
  }
}

// Where an EP group spans nodes: every way of doing its all-to-alls, blocks whole and cut, experts
// whole, sharded and uneven, ranks without rows.
TEST(PlanBitsTest, AllToAllAlgorithmsChangeNothing) {
  struct Case {
    Topology topology;
    Layout layout;
    int32_t experts;
  };
  for (const Case& c : {Case{{4, 2}, {1, 4, 1}, 6}, Case{{8, 4}, {1, 4, 2}, 9},
                        Case{{6, 2}, {1, 6, 1}, 31}, Case{{8, 2}, {2, 4, 1}, 4}}) {
    TinyJob job = FourRanks(c.layout);
    job.topology = c.topology;
    job.length = job.model.max_sequence_length = 128;
    job.steps = 3;
    job.model.moe.num_experts = c.experts;
    if (c.experts > 30) job.model.moe.top_k = 1;
    if (c.experts == 31) job.length = job.model.max_sequence_length = TinyJob::kLength;
    const std::vector<TinyResult> base = RunRanks(job);
    for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
      for (const bool cut_blocks : {false, true}) {
        job.all_to_all = algorithm;
        job.cut_blocks = cut_blocks;
        job.forward_degree = 2;
        job.backward_degree = cut_blocks ? 1 : 3;
        job.shuffle = static_cast<uint64_t>(algorithm) * 2 + 1;
        ExpectSameBits(RunRanks(job), base,
                       testing::PrintToString(std::tuple(c.experts, Name(algorithm), cut_blocks)));
      }
    }
  }
}

// Experts that work elsewhere, each on one member: the same sums over the same rows in the same
// order. One member works for nobody, another for most; in one layer, then in both.
TEST(PlanBitsTest, WhereExpertsWorkChangesNothing) {
  struct Case {
    Topology topology;
    Layout layout;
    std::vector<PlacementChoice> placements;
  };
  const Case cases[] = {
      {{4, 2}, {1, 4, 1}, {{0, {{}, {0, 1, 2, 5}, {3}, {4}}}, {1, {{5}, {4}, {0, 3}, {1, 2}}}}},
      {{4, 2}, {1, 4, 1, 2}, {{0, {{}, {0, 1, 2, 5}, {3}, {4}}}}},
      {{4, 2}, {1, 2, 2}, {{1, {{3, 4, 5}, {0, 1, 2}}}}},
      {{4, 2}, {2, 2, 1}, {{0, {{0, 1, 2, 3, 4, 5}, {}}}, {1, {{0, 5}, {1, 2, 3, 4}}}}},
  };
  for (const Case& c : cases) {
    for (const Backbone backbone : {Backbone::kMixtral, Backbone::kGpt2}) {
      TinyJob job = FourRanks(c.layout);
      job.model = TinyModel(backbone);
      job.steps = 4;
      job.micro_batches = c.layout.ep == 2 ? 2 : 1;
      const std::vector<TinyResult> base = RunRanks(job);
      job.placements.layers = c.placements;
      ExpectSameBits(RunRanks(job), base, "placement alone");
      job.cut_blocks = true;
      for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
        job.all_to_all = algorithm;
        job.forward_degree = 2;
        job.backward_degree = 3;
        job.shuffle = 1 + static_cast<uint64_t>(algorithm);
        ExpectSameBits(RunRanks(job), base, "placement and " + std::string(Name(algorithm)));
      }
      job.switch_every = 1;
      ExpectSameBits(RunRanks(job), base, "to and fro");
    }
  }
}

// Copies: the gradients are the same sums in other parts.
TEST(PlanBitsTest, CopiesOfExpertsChangeRoundingAlone) {
  struct Case {
    Layout layout;
    std::vector<std::vector<int32_t>> experts;
  };
  const Case cases[] = {
      {{1, 4, 1}, {{0, 1}, {0, 2}, {0, 3, 4}, {0, 5}}},  // one hot expert everywhere
      {{1, 4, 1}, {{0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5}, {0, 1, 2, 3, 4, 5}}},
      {{1, 4, 1}, {{1, 4}, {2, 3}, {0, 4, 5}, {}}},  // away from home and twice
      {{1, 2, 2}, {{0, 1, 2, 4}, {3, 4, 5}}},
      {{2, 2, 1}, {{0, 1, 2}, {1, 3, 4, 5}}},
  };
  for (const Case& c : cases) {
    for (const Backbone backbone : {Backbone::kMixtral, Backbone::kGpt2}) {
      TinyJob job = FourRanks(c.layout);
      job.model = TinyModel(backbone);
      const std::vector<TinyResult> base = RunRanks(job);
      job.placements.layers = {{0, c.experts}, {1, c.experts}};
      job.forward_degree = 2;
      job.backward_degree = 3;
      job.shuffle = 3;
      for (const int32_t switch_every : {0, 3}) {
        job.switch_every = switch_every;
        const std::vector<TinyResult> copies = RunRanks(job);
        for (size_t step = 0; step < base[0].losses.size(); ++step) {
          EXPECT_NEAR(copies[0].losses[step], base[0].losses[step], 1e-6 * base[0].losses[step]);
          for (const TinyResult& rank : copies)
            EXPECT_EQ(rank.losses[step], copies[0].losses[step]);
        }
        for (size_t rank = 0; rank < base.size(); ++rank) {
          for (const auto& [name, values] : base[rank].values) {
            for (size_t i = 0; i < values.size(); ++i)
              ASSERT_NEAR(copies[rank].values.at(name)[i], values[i], 2e-5) << name;
          }
        }
        job.cut_blocks = true;
        job.switch_every = 0;
        ExpectSameBits(RunRanks(job), RunRanks(job), "the same plan twice");
        job.cut_blocks = false;
      }
    }
  }
}

// Shards of experts brought together: fewer partial sums, gradients summed over other parts. Two
// and four ranks an expert, uneven shards, all or some of them; beside copies of experts (EDP),
// with sharded updates and with micro-batches.
TEST(PlanBitsTest, GatheringShardsChangesRoundingAlone) {
  struct Case {
    Topology topology;
    Layout layout;
    int32_t gathered;
    int32_t micro_batches;
  };
  const Case cases[] = {
      {{4, 4}, {1, 1, 4}, 2, 1}, {{4, 4}, {1, 1, 4}, 4, 2},       {{4, 2}, {1, 2, 2}, 2, 2},
      {{4, 2}, {2, 1, 2}, 2, 1}, {{4, 2}, {2, 1, 2, 1, 1}, 2, 1}, {{8, 4}, {1, 2, 4}, 2, 1},
      {{8, 4}, {1, 2, 4}, 4, 1},
  };
  for (const Case& c : cases) {
    for (const Backbone backbone : {Backbone::kMixtral, Backbone::kGpt2}) {
      SCOPED_TRACE(testing::PrintToString(
          std::tuple(c.layout.ep, c.layout.esp, c.gathered, static_cast<int>(backbone))));
      TinyJob job = FourRanks(c.layout);
      job.model = TinyModel(backbone);
      job.model.ffn_hidden_size += 3;  // shards of different sizes
      job.topology = c.topology;
      job.micro_batches = c.micro_batches;
      const std::vector<TinyResult> base = RunRanks(job);
      const ExpertPlacement home(job.model.moe.num_experts, c.layout.ep);
      job.placements.layers = {{0, home.by_member(), c.gathered},
                               {1, home.by_member(), c.gathered}};
      for (const bool cut_blocks : {false, true}) {
        for (const int32_t switch_every : {0, 3}) {
          job.cut_blocks = cut_blocks;
          job.switch_every = switch_every;
          job.forward_degree = 2;
          job.backward_degree = 3;
          job.shuffle = 5;
          const std::vector<TinyResult> gathered = RunRanks(job);
          for (size_t step = 0; step < base[0].losses.size(); ++step) {
            EXPECT_NEAR(gathered[0].losses[step], base[0].losses[step],
                        1e-6 * base[0].losses[step]);
            for (const TinyResult& rank : gathered)
              EXPECT_EQ(rank.losses[step], gathered[0].losses[step]);
          }
          for (size_t rank = 0; rank < base.size(); ++rank) {
            for (const auto& [name, values] : base[rank].values) {
              for (size_t i = 0; i < values.size(); ++i)
                ASSERT_NEAR(gathered[rank].values.at(name)[i], values[i], 2e-5) << name;
            }
          }
        }
      }
    }
  }
}

// Placements that follow the load, chosen by every rank for itself before every step: all ranks
// must choose alike, or the exchanges would not end.
TEST(PlanBitsTest, FollowingTheLoadChangesRoundingAtMost) {
  for (const Workload workload : {Workload::kZipf, Workload::kRotatingHotSpot, Workload::kBurst,
                                  Workload::kRaggedSources, Workload::kZeroLoadRanks}) {
    for (const Layout& layout : {Layout{1, 4, 1}, Layout{1, 2, 2}, Layout{2, 2, 1}}) {
      TinyJob job = FourRanks(layout);
      job.model.moe.num_experts = 8;
      job.model.moe.routing = Routing::kForced;
      job.model.moe.workload = workload;
      job.model.moe.workload_period = 2;
      const std::vector<TinyResult> base = RunRanks(job);
      const PlacementChoice home[] = {
          {0, ExpertPlacement(8, layout.ep).by_member()},
          {1, ExpertPlacement(8, layout.ep).by_member()},
      };
      job.placements.layers = {home[0], home[1]};
      job.placements.follow_load = FollowLoad{2, false, 1, 0.1, 0.1};
      job.forward_degree = 2;
      job.backward_degree = 3;
      job.cut_blocks = true;
      job.shuffle = 9;
      const std::string what(WorkloadNames()[static_cast<size_t>(workload)]);
      ExpectSameBits(RunRanks(job), base, what + " with moves");
      job.placements.follow_load->copies = true;
      const std::vector<TinyResult> copies = RunRanks(job);
      for (size_t step = 0; step < base[0].losses.size(); ++step) {
        EXPECT_NEAR(copies[0].losses[step], base[0].losses[step], 1e-6 * base[0].losses[step])
            << what;
      }
    }
  }
}

TEST(PlanBitsTest, SwitchingPlansMidRunChangesNothing) {
  const std::vector<TinyResult> base = RunRanks(FourRanks({1, 2, 2}));
  TinyJob job = FourRanks({1, 2, 2});
  job.switch_every = 2;
  job.shuffle = 5;
  ExpectSameBits(RunRanks(job), base, "re-planning");
  job.cut_blocks = true;
  ExpectSameBits(RunRanks(job), base, "re-planning with blocks");
}

// What is forced depends on the sequence and the step alone: not on who computes it, and how.
TEST(ForcedRoutingTest, EveryLayoutTrainsTheSameModelAndNoPlanChangesABit) {
  for (size_t w = 0; w < WorkloadNames().size(); ++w) {
    TinyJob one;
    one.model = TinyModel(Backbone::kMixtral);
    one.model.moe.routing = Routing::kForced;
    one.model.moe.workload = static_cast<Workload>(w);
    one.model.moe.workload_period = 2;
    one.steps = 4;
    const std::vector<TinyResult> single = RunRanks(one);
    one.micro_batches = 4;
    const std::vector<TinyResult> micro_batches = RunRanks(one);
    for (const Layout& layout : {Layout{1, 2, 2}, Layout{1, 4, 1}, Layout{2, 2, 1}}) {
      TinyJob job = FourRanks(layout);
      job.model = one.model;
      job.steps = one.steps;
      const std::vector<TinyResult> many = RunRanks(job);
      for (size_t step = 0; step < single[0].losses.size(); ++step) {
        for (const std::vector<TinyResult>* other : {&many, &micro_batches}) {
          const TinyResult& b = (*other)[0];
          EXPECT_NEAR(b.losses[step], single[0].losses[step], 2e-5 * single[0].losses[step])
              << WorkloadNames()[w] << ", step " << step;
          EXPECT_NEAR(b.balances[step], single[0].balances[step], 2e-5 * single[0].balances[step])
              << WorkloadNames()[w] << ", step " << step;
        }
      }
      job.forward_degree = 3;
      job.backward_degree = 2;
      job.cut_blocks = true;
      job.shuffle = 7;
      job.switch_every = 2;
      ExpectSameBits(RunRanks(job), many, std::string(WorkloadNames()[w]));
    }
  }
}

// Optimizer state spread over the ranks: the same sums in the same order, each element updated by
// one rank. Only the gradient norm adds up in other parts, so that what is not clipped is equal bit
// for bit. Buckets smaller than the world, one node, one rank a node, shared heads, every cut.
TEST(ZeroTest, SpreadingTheOptimizerStateChangesNoBit) {
  struct Case {
    Topology topology;
    Layout layout;
  };
  for (const Case& c :
       {Case{{4, 2}, {1, 2, 2}}, Case{{4, 4}, {1, 4, 1}}, Case{{4, 1}, {2, 2, 1}},
        Case{{8, 4}, {1, 4, 2}}, Case{{4, 2}, {1, 4, 1, 2}}, Case{{4, 4}, {1, 2, 2, 4}},
        Case{{2, 2}, {2, 1, 1}}, Case{{6, 2}, {3, 1, 2}}, Case{{1, 1}, {1, 1, 1}}}) {
    for (const Backbone backbone : {Backbone::kMixtral, Backbone::kGpt2}) {
      TinyJob job;
      job.model = TinyModel(backbone);
      if (c.layout.mp == 4) job.model.num_kv_heads = 4;
      job.topology = c.topology;
      job.layout = c.layout;
      job.gradient_clip = 0;
      job.micro_batches = c.topology.world_size == 4 ? 2 : 1;
      const std::vector<TinyResult> replicated = RunRanks(job);
      job.layout.zero_stage = 1;
      for (const int32_t slices : {1, 5}) {
        job.slices = slices;
        job.shuffle = static_cast<uint64_t>(slices - 1);
        job.switch_every = slices == 1 ? 0 : 2;
        const std::vector<TinyResult> spread = RunRanks(job);
        for (size_t rank = 0; rank < spread.size(); ++rank) {
          EXPECT_EQ(spread[rank].losses, replicated[rank].losses);
          EXPECT_EQ(spread[rank].values, replicated[rank].values);
          for (size_t step = 0; step < spread[rank].norms.size(); ++step) {
            EXPECT_NEAR(spread[rank].norms[step], replicated[rank].norms[step],
                        1e-9 * replicated[rank].norms[step]);
          }
        }
      }
      job.gradient_clip = 0.5;
      const std::vector<TinyResult> clipped = RunRanks(job);
      job.layout.zero_stage = 0;
      const std::vector<TinyResult> base = RunRanks(job);
      for (size_t step = 0; step < base[0].losses.size(); ++step)
        EXPECT_NEAR(clipped[0].losses[step], base[0].losses[step], 1e-6 * base[0].losses[step]);
    }
  }
}

TEST(ZeroTokensTest, CapacityAndUnusedExpertsAreOrdinary) {
  TinyJob job = FourRanks({1, 2, 2});
  job.model.moe.num_experts =
      24;  // far more experts than a rank's choices: many get no row, some ranks none
  job.model.moe.top_k = 1;
  job.forward_degree = 3;
  const std::vector<TinyResult> dropless = RunRanks(job);
  EXPECT_TRUE(std::isfinite(dropless[0].losses.back()));
  job.model.moe.capacity_mode = CapacityMode::kFactor;
  job.model.moe.capacity_factor = 0;  // Tutel: the largest load, nothing dropped
  ExpectSameBits(RunRanks(job), dropless, "capacity factor 0");
  job.model.moe.capacity_factor = 1.0;
  const std::vector<TinyResult> capped = RunRanks(job);
  EXPECT_NE(capped[0].losses, dropless[0].losses);
  TinyJob one = job;
  one.topology = {1, 1};
  one.layout = {1, 1, 1};
  const std::vector<TinyResult> single = RunRanks(one);
  for (size_t i = 0; i < single[0].losses.size(); ++i) {
    EXPECT_NEAR(single[0].losses[i], capped[0].losses[i], 2e-5 * single[0].losses[i])
        << "drops depend on the layout";
  }
}

}  // namespace
}  // namespace weft
