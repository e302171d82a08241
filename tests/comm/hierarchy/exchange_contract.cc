#include "tests/comm/hierarchy/exchange_contract.h"

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "comm/hierarchy/exchange_plan.h"
#include "tests/comm/hierarchy/counting_communicator.h"
#include "tests/comm/hierarchy/row_matrices.h"

namespace weft {
namespace {

constexpr int64_t kWidths[] = {1, 17};
constexpr int32_t kUntouched = -7;

// One rank's group and what it is connected to there.
struct Tiers {
  GroupShape shape;
  std::unique_ptr<Communicator> group, intra, inter;

  Communicator& of(ExchangeTier tier) {
    switch (tier) {
      case ExchangeTier::kIntraNode:
        return *intra;
      case ExchangeTier::kInterNode:
        return *inter;
      default:
        return *group;
    }
  }
  bool Here(ExchangeTier tier, int peer) const {
    return shape.node_of(TierMember(shape, tier, peer)) == shape.node();
  }
};

// Groups of every `stride`-th rank of a world with so many ranks a node. COLLECTIVE.
absl::StatusOr<Tiers> ConnectTiers(Backend& backend, int ranks_per_node, int stride) {
  std::vector<RankId> ranks;
  for (int r = backend.rank() % stride; r < backend.world_size(); r += stride) {
    ranks.push_back(RankId{r});
  }
  Tiers tiers;
  WEFT_ASSIGN_OR_RETURN(tiers.shape, MakeGroupShape(ranks, ranks_per_node, RankId{backend.rank()}));
  const auto connect = [&](const std::string& name, ExchangeTier tier) {
    return backend.Connect(name, TierRanks(tiers.shape, tier, ranks), absl::Seconds(60));
  };
  WEFT_ASSIGN_OR_RETURN(tiers.group, connect("ep", ExchangeTier::kGroup));
  WEFT_ASSIGN_OR_RETURN(tiers.intra, connect("ep.intra", ExchangeTier::kIntraNode));
  WEFT_ASSIGN_OR_RETURN(tiers.inter, connect("ep.inter", ExchangeTier::kInterNode));
  return tiers;
}

// Runs `check` for every way to see the world as nodes and groups. COLLECTIVE.
template <typename Check>
absl::Status ForEachShape(Backend& backend, const Check& check) {
  const int world = backend.world_size();
  for (int per_node = 1; per_node <= world; ++per_node) {
    for (int stride = 1; stride <= 2; ++stride) {
      if (world % per_node != 0 || per_node % stride != 0) continue;
      WEFT_ASSIGN_OR_RETURN(Tiers tiers, ConnectTiers(backend, per_node, stride));
      SCOPED_TRACE(absl::StrCat(tiers.shape.nodes, "x", tiers.shape.members_per_node, " member ",
                                tiers.shape.me));
      WEFT_RETURN_IF_ERROR(check(tiers));
    }
  }
  return absl::OkStatus();
}

int32_t Value(int source, int destination, int64_t element) {
  return static_cast<int32_t>(((source * 16 + destination) << 20) + element);
}

// Input, output and staging of one member, with one row more behind what the plan asks for.
class Buffers {
 public:
  Buffers(const ExchangePlan& plan, const GroupShape& shape, const RowMatrix& rows, int64_t width)
      : width_(width) {
    for (int peer = 0; peer < shape.size(); ++peer) {
      for (int64_t i = 0; i < rows.at(shape.me, peer) * width; ++i) {
        input_.push_back(Value(shape.me, peer, i));
      }
      for (int64_t i = 0; i < rows.at(peer, shape.me) * width; ++i) {
        expected_.push_back(Value(peer, shape.me, i));
      }
    }
    EXPECT_EQ(std::ssize(input_), plan.input_rows() * width);
    EXPECT_EQ(std::ssize(expected_), plan.output_rows() * width);
    expected_.resize(expected_.size() + static_cast<size_t>(width), kUntouched);
    output_.resize(expected_.size(), kUntouched);
    for (size_t i = 0; i < staging_.size(); ++i) {
      staging_[i].resize(static_cast<size_t>((plan.staging_rows(i) + 1) * width), kUntouched);
    }
  }

  ExchangeViews views() {
    return {.input = Rows(input_),
            .output = Rows(output_),
            .staging = {Rows(staging_[0]), Rows(staging_[1])}};
  }
  void ExpectArrived() const {
    EXPECT_EQ(output_, expected_);
    for (const std::vector<int32_t>& staging : staging_) {
      EXPECT_EQ(staging.back(), kUntouched) << "more staging used than stated";
    }
  }
  const std::vector<int32_t>& output() const { return output_; }

 private:
  TensorView Rows(std::vector<int32_t>& values) const {
    return View(values.data(), {std::ssize(values) / width_, width_});
  }

  const int64_t width_;
  std::vector<int32_t> input_, expected_, output_;
  std::array<std::vector<int32_t>, 2> staging_;
};

void BuildFrom(const RowMatrix& rows, AllToAllAlgorithm algorithm, const GroupShape& shape,
               ExchangePlan& plan) {
  plan.Build(algorithm, shape,
             [&rows](int source, int destination) { return rows.at(source, destination); });
}

TEST_P(ExchangeContract, EveryAlgorithmGivesWhatDirectGives) {
  RunRanks([](Backend& backend) -> absl::Status {
    return ForEachShape(backend, [](Tiers& tiers) -> absl::Status {
      ExchangePlan plan;
      for (const RowMatrix& rows : RowMatrices(tiers.shape.size())) {
        for (int64_t width : kWidths) {
          std::vector<int32_t> direct;
          for (AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
            SCOPED_TRACE(
                absl::StrCat(rows.name, ", width ", width, ", ", std::string(Name(algorithm))));
            BuildFrom(rows, algorithm, tiers.shape, plan);
            Buffers buffers(plan, tiers.shape, rows, width);
            for (const ExchangeStep& step : plan.steps()) {
              WEFT_RETURN_IF_ERROR(RunStep(step, buffers.views(), tiers.of(step.tier)));
            }
            buffers.ExpectArrived();
            if (algorithm == AllToAllAlgorithm::kDirect) direct = buffers.output();
            EXPECT_EQ(buffers.output(), direct);
          }
        }
      }
      return absl::OkStatus();
    });
  });
}

// Every communicator is used by one thread alone; the threads keep no order between them.
TEST_P(ExchangeContract, IndependentStepsRunFromTwoThreads) {
  RunRanks([](Backend& backend) -> absl::Status {
    return ForEachShape(backend, [](Tiers& tiers) -> absl::Status {
      if (tiers.shape.flat()) return absl::OkStatus();
      for (const RowMatrix& rows : RowMatrices(tiers.shape.size())) {
        ExchangePlan plan;
        BuildFrom(rows, AllToAllAlgorithm::kPipe, tiers.shape, plan);
        EXPECT_TRUE(plan.steps()[1].independent);
        Buffers buffers(plan, tiers.shape, rows, 17);
        std::array<absl::Status, 2> status;
        const auto run = [&](size_t i) {
          const ExchangeStep& step = plan.steps()[i];
          status[i] = RunStep(step, buffers.views(), tiers.of(step.tier));
        };
        // Also the second first.
        std::thread other([&] { run(tiers.shape.me % 2 == 0 ? 0 : 1); });
        run(tiers.shape.me % 2 == 0 ? 1 : 0);
        other.join();
        WEFT_RETURN_IF_ERROR(status[0]);
        WEFT_RETURN_IF_ERROR(status[1]);
        buffers.ExpectArrived();
      }
      return absl::OkStatus();
    });
  });
}

// What the communicators are really asked to move, beside the plan and the closed form.
TEST_P(ExchangeContract, MovesWhatPlanAndClosedFormSay) {
  constexpr int64_t kWidth = 3;
  constexpr int64_t kRowBytes = kWidth * static_cast<int64_t>(sizeof(int32_t));
  RunRanks([](Backend& backend) -> absl::Status {
    return ForEachShape(backend, [](Tiers& tiers) -> absl::Status {
      for (AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
        for (const RowMatrix& rows : RowMatrices(tiers.shape.size())) {
          SCOPED_TRACE(absl::StrCat(std::string(Name(algorithm)), ", ", rows.name));
          ExchangePlan plan;
          BuildFrom(rows, algorithm, tiers.shape, plan);
          Buffers buffers(plan, tiers.shape, rows, kWidth);
          for (size_t i = 0; i < plan.steps().size(); ++i) {
            const ExchangeStep& step = plan.steps()[i];
            CountingCommunicator counting(tiers.of(step.tier), [&tiers, &step](int peer) {
              return tiers.Here(step.tier, peer);
            });
            WEFT_RETURN_IF_ERROR(RunStep(step, buffers.views(), counting));
            EXPECT_EQ(counting.calls(), step.joins ? 1 : 0);
            EXPECT_TRUE(counting.traffic() == plan.Traffic(i, kRowBytes)) << "step " << i;
            if (rows.name != "even") continue;
            const auto pair_bytes = static_cast<double>(rows.at(0, 0) * kRowBytes);
            EXPECT_TRUE(counting.traffic() ==
                        ExpectedTraffic(algorithm, tiers.shape, i, pair_bytes))
                << "step " << i;
          }
        }
      }
      return absl::OkStatus();
    });
  });
}

TEST_P(ExchangeContract, ABrokenTierEndsItsStep) {
  RunRanks([](Backend& backend) -> absl::Status {
    WEFT_ASSIGN_OR_RETURN(Tiers tiers, ConnectTiers(backend, 1, 1));
    const RowMatrix rows = MakeRows("even", tiers.shape.size(), [](int, int) { return 2; });
    ExchangePlan plan;
    BuildFrom(rows, AllToAllAlgorithm::kDirect, tiers.shape, plan);
    Buffers buffers(plan, tiers.shape, rows, 1);
    tiers.group->Abort(absl::UnavailableError("node b is gone"));
    const absl::Status status = RunStep(plan.steps()[0], buffers.views(), *tiers.group);
    EXPECT_TRUE(absl::IsAborted(status)) << status;
    EXPECT_TRUE(absl::StrContains(status.ToString(), "node b is gone")) << status;
    return absl::OkStatus();
  });
}

}  // namespace
}  // namespace weft
