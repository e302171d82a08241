// Asks the cost model of `weft simulate` for the seconds of every case of cases.h on a described
// cluster, and the emulated links of comm/sim for theirs, and prints one JSON object: the cluster's
// links and the cases. Only the links answer: measured lines of collectives and the least time of a
// task are left out, since a simulated network knows neither.
//
//   simgrid_model CLUSTER.yaml NODES RANKS_PER_NODE

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "base/status_macros.h"
#include "bench/expected_exchange.h"
#include "bench/simgrid/cases.h"
#include "bench/simgrid/emulated_seconds.h"
#include "launch/config/cluster_file.h"
#include "models/op_sizes.h"
#include "simulation/cluster.h"

namespace weft {
namespace {

using Json = nlohmann::ordered_json;

class Model {
 public:
  Model(const Cluster& cluster, const GroupShape& shape)
      : shape_(shape), costs_(cluster, ProductCounts()) {}

  double Seconds(const CollectiveCase& one) const {
    const int32_t members = TierSize(shape_, one.tier);
    const int64_t elements = one.bytes / static_cast<int64_t>(sizeof(float));
    switch (one.collective) {
      case Collective::kAllToAll:
        if (one.tier != ExchangeTier::kGroup) break;
        return ExpectedSeconds(one.algorithm, shape_, static_cast<double>(one.bytes),
                               [&](ExchangeTier tier, const ExchangeTraffic& traffic) {
                                 return Estimate(OpKind::kDispatch, tier, BusierWay(traffic));
                               });
      case Collective::kHotAllToAll:
        break;
      case Collective::kAllGather:
        return Estimate(OpKind::kEspAllGather, one.tier, AllGatherBytes(elements, members));
      case Collective::kReduceScatter:
        return Estimate(OpKind::kEspReduceScatter, one.tier,
                        ReduceScatterBytes(elements * members, elements));
      case Collective::kAllReduce:
        return Estimate(OpKind::kGradAllReduce, one.tier, AllReduceBytes(elements, members));
    }
    // What the runtime files an all-to-all under: what its busiest member sends.
    int64_t busiest = 0;
    for (int source = 0; source < members; ++source) {
      int64_t rows = 0;
      for (int peer = 0; peer < members; ++peer) rows += peer == source ? 0 : PairRows(one, peer);
      busiest = std::max(busiest, rows);
    }
    return Estimate(OpKind::kDispatch, one.tier, AllToAllBytes(busiest * kRowFloats));
  }

 private:
  double Estimate(OpKind kind, ExchangeTier tier, double bytes) const {
    CostKey key;
    key.kind = kind;
    key.group_size = TierSize(shape_, tier);
    key.group = tier == ExchangeTier::kGroup       ? GroupKind::kWorld
                : tier == ExchangeTier::kIntraNode ? GroupKind::kIntra
                                                   : GroupKind::kInter;
    key.link = tier == ExchangeTier::kIntraNode ? LinkClass::kIntraNode : LinkClass::kInterNode;
    return costs_.Estimate(key, bytes).seconds;
  }

  GroupShape shape_;
  ClusterCostModel costs_;
};

Json Describe(const LinkSpeed& link) {
  return {{"latency", link.latency}, {"bandwidth", link.bandwidth}};
}

absl::StatusOr<Json> Ask(const std::string& path, const GroupShape& shape) {
  WEFT_ASSIGN_OR_RETURN(const ClusterFile file, LoadClusterFile(path));
  Cluster cluster;
  cluster.name = file.cluster.name;
  cluster.topology = {.world_size = shape.size(), .ranks_per_node = shape.members_per_node};
  cluster.speeds = file.cluster.speeds;
  cluster.speeds.launch = 0;
  const Model model(cluster, shape);
  Json cases = Json::array();
  for (const CollectiveCase& one : AllCases()) {
    cases.push_back(Describe(one));
    cases.back()["model_seconds"] = model.Seconds(one);
    cases.back()["emulator_seconds"] = EmulatedSeconds(one, shape, cluster.speeds);
  }
  return Json{
      {"cluster", cluster.name},
      {"links",
       {{"intra", Describe(cluster.speeds.intra)}, {"inter", Describe(cluster.speeds.inter)}}},
      {"cases", cases}};
}

int Main(int argc, char** argv) {
  GroupShape shape;
  if (argc != 4 || !absl::SimpleAtoi(argv[2], &shape.nodes) || shape.nodes < 2 ||
      !absl::SimpleAtoi(argv[3], &shape.members_per_node) || shape.members_per_node < 2) {
    std::fprintf(stderr, "simgrid_model CLUSTER.yaml NODES RANKS_PER_NODE, of each at least 2\n");
    return 2;
  }
  const absl::StatusOr<Json> answer = Ask(argv[1], shape);
  if (!answer.ok()) {
    std::fprintf(stderr, "%s\n", std::string(answer.status().message()).c_str());
    return 1;
  }
  std::printf("%s\n", answer->dump().c_str());
  return 0;
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::Main(argc, argv); }
