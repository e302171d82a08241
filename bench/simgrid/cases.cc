#include "bench/simgrid/cases.h"

#include <array>
#include <string>
#include <string_view>

namespace weft {
namespace {

constexpr std::array kTiers = {ExchangeTier::kGroup, ExchangeTier::kIntraNode,
                               ExchangeTier::kInterNode};
constexpr std::array<std::string_view, 3> kTierNames = {"group", "intra", "inter"};
constexpr std::array<std::string_view, 5> kNames = {"all_to_all", "hot_all_to_all", "all_gather",
                                                    "reduce_scatter", "all_reduce"};
constexpr std::array<int64_t, 4> kBlockBytes = {kRowBytes, 2048, 16384, 65536};
// The second is the largest buffer that is reduced in one step (comm/direct_communicator.h).
constexpr std::array<int64_t, 4> kBufferBytes = {1024, 16384, 262144, 4194304};

}  // namespace

std::vector<CollectiveCase> AllCases() {
  std::vector<CollectiveCase> cases;
  for (const int64_t bytes : kBlockBytes) {
    for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
      cases.push_back({Collective::kAllToAll, ExchangeTier::kGroup, algorithm, bytes});
    }
    cases.push_back({.collective = Collective::kHotAllToAll, .bytes = bytes});
    for (const ExchangeTier tier : {ExchangeTier::kIntraNode, ExchangeTier::kInterNode}) {
      cases.push_back({.tier = tier, .bytes = bytes});
    }
    for (const Collective collective : {Collective::kAllGather, Collective::kReduceScatter}) {
      for (const ExchangeTier tier : kTiers) {
        cases.push_back({.collective = collective, .tier = tier, .bytes = bytes});
      }
    }
  }
  for (const int64_t bytes : kBufferBytes) {
    for (const ExchangeTier tier : kTiers) {
      cases.push_back({.collective = Collective::kAllReduce, .tier = tier, .bytes = bytes});
    }
  }
  return cases;
}

int64_t PairRows(const CollectiveCase& one, int destination) {
  const bool hot = one.collective == Collective::kHotAllToAll && destination == 0;
  return one.bytes / kRowBytes * (hot ? kHotFactor : 1);
}

nlohmann::ordered_json Describe(const CollectiveCase& one) {
  return {{"collective", std::string(kNames[static_cast<size_t>(one.collective)])},
          {"tier", std::string(kTierNames[static_cast<size_t>(one.tier)])},
          {"algorithm", std::string(Name(one.algorithm))},
          {"bytes", one.bytes}};
}

}  // namespace weft
