// One all-to-all of an even load by each algorithm of comm/hierarchy, between ranks that are
// threads of this process behind emulated links. Prints one JSON object: per size and algorithm the
// median and the spread of a round's time, beside what docs/collectives.md expects of the links.
// The algorithms take turns. A round lasts from the moment its last rank starts to the moment its
// last rank ends; steps that are independent run on two streams.
//
//   all_to_all_bench [name=value ...]      names and defaults: see DefaultSettings

#include <algorithm>
#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "bench/expected_exchange.h"
#include "bench/settings.h"
#include "comm/hierarchy/exchange_plan.h"
#include "comm/inproc/inproc_world.h"
#include "comm/sim/sim_backend.h"
#include "runtime/statistics.h"
#include "tensor/device/buffer.h"
#include "tensor/device/cpu/cpu_stream.h"

namespace weft {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kAlgorithms = kAllToAllAlgorithms.size();
constexpr int64_t kRowFloats = 32;
constexpr int64_t kRowBytes = kRowFloats * static_cast<int64_t>(sizeof(float));
constexpr std::array<int64_t, 6> kPairRows = {1, 8, 32, 128, 512, 2048};

Settings DefaultSettings() {
  return {{"nodes", 2},        {"ranks_per_node", 4}, {"rounds", 41}, {"warmup", 3},
          {"intra_mb_s", 800}, {"intra_us", 100},  // of one rank, each direction
          {"inter_mb_s", 100}, {"inter_us", 400},  //
          {"message_us", 0}};                      // of either link
}

struct Links {
  explicit Links(const Settings& s)
      : intra{s.at("intra_mb_s") * 1e6, s.at("intra_us") * 1e-6, s.at("message_us") * 1e-6},
        inter{s.at("inter_mb_s") * 1e6, s.at("inter_us") * 1e-6, s.at("message_us") * 1e-6} {}

  EmulatedLinkModel intra, inter;
};

struct Interval {
  int64_t begin = 0;
  int64_t end = 0;
};
// One rank's rounds, by size and algorithm.
using Rounds = std::array<std::array<std::vector<Interval>, kAlgorithms>, kPairRows.size()>;

class Member {
 public:
  // COLLECTIVE.
  absl::Status Connect(Backend& backend, const Settings& settings) {
    std::vector<RankId> ranks(static_cast<size_t>(backend.world_size()));
    for (int r = 0; RankId & rank : ranks) rank = RankId{r++};
    WEFT_ASSIGN_OR_RETURN(
        shape_, MakeGroupShape(ranks, settings.at("ranks_per_node"), RankId{backend.rank()}));
    for (ExchangeTier tier :
         {ExchangeTier::kGroup, ExchangeTier::kIntraNode, ExchangeTier::kInterNode}) {
      WEFT_ASSIGN_OR_RETURN(
          tiers_[static_cast<size_t>(tier)],
          backend.Connect("exchange", TierRanks(shape_, tier, ranks), absl::Seconds(60)));
    }
    return absl::OkStatus();
  }

  // Every pair has `pair_rows` rows.
  void Load(int64_t pair_rows) {
    std::array<int64_t, 2> staging = {0, 0};
    for (size_t a = 0; a < kAlgorithms; ++a) {
      plans_[a].Build(kAllToAllAlgorithms[a], shape_, [&](int, int) { return pair_rows; });
      for (size_t i = 0; i < staging.size(); ++i) {
        staging[i] = std::max(staging[i], plans_[a].staging_rows(i));
      }
    }
    views_.input = input_.Ensure<float>({plans_[0].input_rows(), kRowFloats});
    views_.output = output_.Ensure<float>({plans_[0].output_rows(), kRowFloats});
    for (size_t i = 0; i < staging.size(); ++i) {
      views_.staging[i] = staging_[i].Ensure<float>({staging[i], kRowFloats});
    }
  }

  // COLLECTIVE. The interval of one exchange that all ranks begin together.
  absl::StatusOr<Interval> Round(size_t algorithm) {
    WEFT_RETURN_IF_ERROR(tiers_[static_cast<size_t>(ExchangeTier::kGroup)]->Barrier());
    Interval interval;
    interval.begin = MonotonicClock().NowNanos();
    const std::span<const ExchangeStep> steps = plans_[algorithm].steps();
    for (size_t i = 0; i < steps.size(); ++i) {
      if (i + 1 < steps.size() && steps[i + 1].independent) {
        const ExchangeStep& beside = steps[i + 1];
        WEFT_RETURN_IF_ERROR(second_stream_.Enqueue([this, &beside] { return Run(beside); }));
        const absl::Status status = Run(steps[i]);
        WEFT_RETURN_IF_ERROR(second_stream_.Synchronize());
        WEFT_RETURN_IF_ERROR(status);
        ++i;
      } else {
        WEFT_RETURN_IF_ERROR(Run(steps[i]));
      }
    }
    interval.end = MonotonicClock().NowNanos();
    return interval;
  }

 private:
  absl::Status Run(const ExchangeStep& step) {
    return RunStep(step, views_, *tiers_[static_cast<size_t>(step.tier)]);
  }

  GroupShape shape_;
  std::array<std::unique_ptr<Communicator>, 3> tiers_;  // by ExchangeTier
  std::array<ExchangePlan, kAlgorithms> plans_;
  Buffer input_, output_;
  std::array<Buffer, 2> staging_;
  ExchangeViews views_;
  CpuStream second_stream_{"inter"};
};

absl::Status RunRank(Backend& backend, const Settings& settings, Rounds& rounds) {
  Member member;
  WEFT_RETURN_IF_ERROR(member.Connect(backend, settings));
  for (size_t size = 0; size < kPairRows.size(); ++size) {
    member.Load(kPairRows[size]);
    const int warmup = settings.at("warmup");
    for (int round = 0; round < warmup + settings.at("rounds"); ++round) {
      for (size_t a = 0; a < kAlgorithms; ++a) {
        WEFT_ASSIGN_OR_RETURN(const Interval interval, member.Round(a));
        if (round >= warmup) rounds[size][a].push_back(interval);
      }
    }
  }
  return absl::OkStatus();
}

// The rounds of every rank.
absl::StatusOr<std::vector<Rounds>> RunRanks(const Settings& settings) {
  const int world_size = settings.at("nodes") * settings.at("ranks_per_node");
  const int per_node = settings.at("ranks_per_node");
  const Links links(settings);
  const SimLinkRule rule = [&](const std::vector<RankId>& ranks) {
    const bool one_node = ranks.front().value / per_node == ranks.back().value / per_node;
    return one_node ? SimLink{0, links.intra} : SimLink{1, links.inter};
  };
  const std::shared_ptr<InprocWorld> world = InprocWorld::Make(world_size);
  std::vector<Rounds> rounds(static_cast<size_t>(world_size));
  absl::Mutex mutex;
  absl::Status first_error;
  std::vector<std::thread> threads;
  threads.reserve(rounds.size());
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] {
      SimBackend backend(world->MakeBackend(RankId{rank}), rule);
      const absl::Status status = RunRank(backend, settings, rounds[static_cast<size_t>(rank)]);
      if (status.ok()) return;
      world->Abort(status);
      absl::MutexLock lock(&mutex);
      first_error.Update(status);
    });
  }
  for (std::thread& thread : threads) thread.join();
  WEFT_RETURN_IF_ERROR(first_error);
  return rounds;
}

// Seconds of each round, from the last begin to the last end.
std::vector<double> SecondsOf(const std::vector<Rounds>& ranks, size_t size, size_t algorithm) {
  std::vector<double> seconds;
  for (size_t round = 0; round < ranks[0][size][algorithm].size(); ++round) {
    Interval last;
    for (const Rounds& rank : ranks) {
      const Interval& interval = rank[size][algorithm][round];
      last.begin = std::max(last.begin, interval.begin);
      last.end = std::max(last.end, interval.end);
    }
    seconds.push_back(static_cast<double>(last.end - last.begin) * 1e-9);
  }
  return seconds;
}

// By the closed forms, over the emulated links.
double ExpectedSeconds(AllToAllAlgorithm algorithm, const Settings& settings, int64_t pair_rows) {
  const Links links(settings);
  const GroupShape shape{settings.at("nodes"), settings.at("ranks_per_node"), 0};
  const auto seconds = [&](ExchangeTier tier, const ExchangeTraffic& traffic) {
    const bool one_node = tier == ExchangeTier::kIntraNode || shape.nodes == 1;
    const EmulatedLinkModel& link = one_node ? links.intra : links.inter;
    return link.latency_seconds + BusierWay(traffic) / link.bytes_per_second +
           static_cast<double>(traffic.messages) * link.message_seconds;
  };
  return ExpectedSeconds(algorithm, shape, static_cast<double>(pair_rows * kRowBytes), seconds);
}

absl::StatusOr<Json> Measure(const Settings& settings) {
  WEFT_ASSIGN_OR_RETURN(const std::vector<Rounds> ranks, RunRanks(settings));
  Json sizes = Json::array();
  for (size_t size = 0; size < kPairRows.size(); ++size) {
    Json algorithms;
    std::string fastest;
    double least = 0;
    for (size_t a = 0; a < kAlgorithms; ++a) {
      const std::string name(Name(kAllToAllAlgorithms[a]));
      const std::vector<double> seconds = SecondsOf(ranks, size, a);
      const double median = Median(seconds);
      const double expected = ExpectedSeconds(kAllToAllAlgorithms[a], settings, kPairRows[size]);
      algorithms[name] = {{"median_us", median * 1e6},
                          {"spread_us", RobustSpread(seconds) * 1e6},
                          {"expected_us", expected * 1e6}};
      if (fastest.empty() || median < least) {
        fastest = name;
        least = median;
      }
    }
    sizes.push_back({{"pair_bytes", kPairRows[size] * kRowBytes},
                     {"fastest", fastest},
                     {"algorithms", algorithms}});
  }
  return Json{{"settings", settings}, {"sizes", sizes}};
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  return weft::RunBenchmark(argc, argv, weft::DefaultSettings(), weft::Measure);
}
