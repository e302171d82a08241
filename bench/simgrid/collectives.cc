// Runs the collectives of comm/ (the real DirectCommunicator and exchange plans) under SimGrid's
// SMPI, checks what they brought, and prints one JSON object with the simulated seconds of every
// case of cases.h. A case lasts from one simulated moment, the same on all ranks, to the moment its
// last rank ends. Computation costs no simulated time: what is left is the network.
//
//   smpirun ... simgrid_collectives NODES RANKS_PER_NODE      bench/simgrid/compare.py runs it

#include <mpi.h>
#include <simgrid/barrier.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "bench/simgrid/cases.h"
#include "bench/simgrid/smpi_exchange.h"
#include "comm/direct_communicator.h"
#include "comm/hierarchy/exchange_plan.h"
#include "tensor/device/buffer.h"

namespace weft {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array kTiers = {ExchangeTier::kGroup, ExchangeTier::kIntraNode,
                               ExchangeTier::kInterNode};

// A moment that all ranks reach together, at no simulated cost (an MPI barrier takes messages). All
// ranks are actors of one process, so that a pointer means the same to each.
class StartLine {
 public:
  explicit StartLine(const GroupShape& shape) {
    if (shape.me == 0) barrier_ = sg_barrier_init(static_cast<unsigned>(shape.size()));
    MPI_Bcast(&barrier_, sizeof(sg_bar_t), MPI_BYTE, 0, MPI_COMM_WORLD);
  }
  void Wait() { sg_barrier_wait(barrier_); }

 private:
  sg_bar_t barrier_ = nullptr;
};

class Member {
 public:
  explicit Member(const GroupShape& shape) : shape_(shape) {}

  // COLLECTIVE.
  absl::Status Connect() {
    std::vector<RankId> ranks(static_cast<size_t>(shape_.size()));
    for (int r = 0; RankId & rank : ranks) rank = RankId{r++};
    for (const ExchangeTier tier : kTiers) {
      const auto t = static_cast<size_t>(tier);
      WEFT_ASSIGN_OR_RETURN(const Group group,
                            MakeGroup("simgrid", TierRanks(shape_, tier, ranks), RankId{shape_.me},
                                      shape_.size(), absl::InfiniteDuration()));
      exchanges_[t] = std::make_shared<SmpiExchange>(group, static_cast<int>(t));
      WEFT_ASSIGN_OR_RETURN(tiers_[t], DirectCommunicator::Connect(group, exchanges_[t]));
    }
    return absl::OkStatus();
  }

  // Buffers, contents and plan of a case.
  void Load(const CollectiveCase& one) {
    Communicator& group = Tier(one.tier);
    const int64_t members = group.size();
    const int64_t rows = one.bytes / kRowBytes;
    const auto me = static_cast<float>(group.rank() + 1);
    block_rows_.assign(static_cast<size_t>(members), rows);
    switch (one.collective) {
      case Collective::kAllToAll:
      case Collective::kHotAllToAll:
        return LoadAllToAll(one);
      case Collective::kAllGather:
        Fill(input_.Ensure<float>({rows, kRowFloats}), me);
        output_.Ensure<float>({rows * members, kRowFloats});
        return;
      case Collective::kReduceScatter:
        for (int64_t p = 0; p < members; ++p) {
          Fill(Rows(input_.Ensure<float>({rows * members, kRowFloats}), p * rows, rows),
               me * static_cast<float>(p + 1));
        }
        output_.Ensure<float>({rows, kRowFloats});
        return;
      case Collective::kAllReduce:
        Fill(output_.Ensure<float>({rows, kRowFloats}), me);
        return;
    }
  }

  // COLLECTIVE.
  absl::Status Run(const CollectiveCase& one) {
    Communicator& group = Tier(one.tier);
    const int64_t rows = one.bytes / kRowBytes;
    const int64_t all = rows * group.size();
    switch (one.collective) {
      case Collective::kAllToAll:
      case Collective::kHotAllToAll:
        return RunAllToAll(group);
      case Collective::kAllGather:
        return group.AllGather(input_.view<float>({rows, kRowFloats}),
                               output_.view<float>({all, kRowFloats}));
      case Collective::kReduceScatter:
        return group.ReduceScatterV({.send = input_.view<float>({all, kRowFloats}),
                                     .recv = output_.view<float>({rows, kRowFloats}),
                                     .rows = block_rows_});
      case Collective::kAllReduce:
        return group.AllReduce(output_.view<float>({rows, kRowFloats}), ReduceOp::kSum);
    }
    return absl::InternalError("no such collective");
  }

  // Whether Run has brought what the case promises.
  bool Holds(const CollectiveCase& one) const {
    const Communicator& group = Tier(one.tier);
    const int64_t rows = one.bytes / kRowBytes;
    const int members = group.size();
    const auto sum = 0.5F * static_cast<float>(members) * static_cast<float>(members + 1);
    switch (one.collective) {
      case Collective::kAllToAll:
      case Collective::kHotAllToAll: {
        const int64_t pair = PairRows(one, group.rank());
        for (int source = 0; source < members; ++source) {
          if (!AllEqual(source * pair, pair, Stamp(source, group.rank(), members))) return false;
        }
        return true;
      }
      case Collective::kAllGather:
        for (int source = 0; source < members; ++source) {
          if (!AllEqual(source * rows, rows, static_cast<float>(source + 1))) return false;
        }
        return true;
      case Collective::kReduceScatter:
        return AllEqual(0, rows, sum * static_cast<float>(group.rank() + 1));
      case Collective::kAllReduce:
        return AllEqual(0, rows, sum);
    }
    return false;
  }

  Communicator& Tier(ExchangeTier tier) const { return *tiers_[static_cast<size_t>(tier)]; }

 private:
  static float Stamp(int source, int destination, int members) {
    return static_cast<float>(source * members + destination + 1);
  }

  static void Fill(const TensorView& view, float value) {
    std::fill_n(view.as<float>(), view.elements(), value);
  }

  // Whether all of these rows of the output are `value`.
  bool AllEqual(int64_t first_row, int64_t rows, float value) const {
    const float* begin = output_.as<float>() + first_row * kRowFloats;
    return std::all_of(begin, begin + rows * kRowFloats, [&](float x) { return x == value; });
  }

  void LoadAllToAll(const CollectiveCase& one) {
    const Communicator& group = Tier(one.tier);
    // The members of a smaller group are all alike to each other: its own group is flat.
    const bool whole = one.tier == ExchangeTier::kGroup;
    plan_.Build(one.algorithm, whole ? shape_ : GroupShape{1, group.size(), group.rank()},
                [&](int, int destination) { return PairRows(one, destination); });
    const TensorView input = input_.Ensure<float>({plan_.input_rows(), kRowFloats});
    int64_t begin = 0;
    for (int peer = 0; peer < group.size(); ++peer) {
      const int64_t rows = PairRows(one, peer);
      Fill(Rows(input, begin, rows), Stamp(group.rank(), peer, group.size()));
      begin += rows;
    }
    views_.input = input;
    views_.output = output_.Ensure<float>({plan_.output_rows(), kRowFloats});
    Fill(views_.output, 0);
    for (size_t i = 0; i < views_.staging.size(); ++i) {
      views_.staging[i] = staging_[i].Ensure<float>({plan_.staging_rows(i), kRowFloats});
    }
  }

  absl::Status RunAllToAll(Communicator& group) {
    const std::span<const ExchangeStep> steps = plan_.steps();
    for (size_t i = 0; i < steps.size(); ++i) {
      const bool beside = i + 1 < steps.size() && steps[i + 1].independent;
      // A held step has ended when the one beside it has, so that nothing may follow its messages.
      WEFT_CHECK(!beside || (steps[i].joins && steps[i].after.empty()), "the step can be held");
      SmpiExchange& own = *exchanges_[static_cast<size_t>(steps[i].tier)];
      if (beside) own.Hold();
      WEFT_RETURN_IF_ERROR(RunStep(
          steps[i], views_, steps[i].tier == ExchangeTier::kGroup ? group : Tier(steps[i].tier)));
      if (!beside) continue;
      ++i;
      WEFT_RETURN_IF_ERROR(RunStep(steps[i], views_, Tier(steps[i].tier)));
      WEFT_RETURN_IF_ERROR(own.Finish());
    }
    return absl::OkStatus();
  }

  const GroupShape shape_;
  std::array<std::shared_ptr<SmpiExchange>, kTiers.size()> exchanges_;  // by ExchangeTier
  std::array<std::unique_ptr<Communicator>, kTiers.size()> tiers_;
  ExchangePlan plan_;
  std::vector<int64_t> block_rows_;
  Buffer input_, output_;
  std::array<Buffer, 2> staging_;
  ExchangeViews views_;
};

// COLLECTIVE.
absl::StatusOr<Json> Measure(const GroupShape& shape) {
  Member member(shape);
  WEFT_RETURN_IF_ERROR(member.Connect());
  StartLine start_line(shape);
  Json cases = Json::array();
  for (const CollectiveCase& one : AllCases()) {
    member.Load(one);
    start_line.Wait();
    const double begin = MPI_Wtime();
    WEFT_RETURN_IF_ERROR(member.Run(one));
    double seconds = MPI_Wtime() - begin;
    Json row = Describe(one);
    if (!member.Holds(one)) {
      return absl::InternalError(
          absl::StrCat("rank ", shape.me, ": another result than it should be: ", row.dump()));
    }
    WEFT_RETURN_IF_ERROR(
        member.Tier(ExchangeTier::kGroup).AllReduce(View(&seconds, {1}), ReduceOp::kMax));
    row["simgrid_seconds"] = seconds;
    cases.push_back(row);
  }
  return cases;
}

int Main(int argc, char** argv) {
  GroupShape shape;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &shape.me);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (argc == 3) {
    shape.nodes = std::atoi(argv[1]);
    shape.members_per_node = std::atoi(argv[2]);
  }
  if (argc != 3 || !Validate(shape).ok() || shape.size() != size) {
    std::fprintf(stderr, "simgrid_collectives NODES RANKS_PER_NODE: they make up the %d ranks\n",
                 size);
    return 2;
  }
  const absl::StatusOr<Json> cases = Measure(shape);
  if (!cases.ok()) {
    std::fprintf(stderr, "%s\n", cases.status().ToString().c_str());
    MPI_Abort(MPI_COMM_WORLD, 1);
    return 1;
  }
  if (shape.me == 0) std::printf("%s\n", Json{{"cases", *cases}}.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const int code = weft::Main(argc, argv);
  MPI_Finalize();
  return code;
}
