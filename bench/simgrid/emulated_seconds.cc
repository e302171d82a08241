#include "bench/simgrid/emulated_seconds.h"

#include <algorithm>
#include <cmath>

#include "bench/expected_exchange.h"
#include "comm/sim/sim_communicator.h"
#include "comm/sim/traffic.h"

namespace weft {
namespace {

// Of the member of a group of `size` that moves the most.
Traffic BusiestAllToAll(const CollectiveCase& one, int size) {
  std::vector<int64_t> send_rows(static_cast<size_t>(size));
  for (int peer = 0; peer < size; ++peer) {
    send_rows[static_cast<size_t>(peer)] = PairRows(one, peer);
  }
  Traffic busiest;
  for (int me = 0; me < size; ++me) {
    const std::vector<int64_t> recv_rows(send_rows.size(), PairRows(one, me));
    const Traffic traffic = AllToAllVTraffic(send_rows, recv_rows, kRowBytes, me);
    if (traffic.bytes > busiest.bytes) busiest = traffic;
  }
  return busiest;
}

Traffic TrafficOf(const CollectiveCase& one, int size) {
  const std::vector<int64_t> rows(static_cast<size_t>(size), one.bytes / kRowBytes);
  constexpr auto kElementBytes = static_cast<int64_t>(sizeof(float));
  switch (one.collective) {
    case Collective::kAllToAll:
    case Collective::kHotAllToAll:
      break;
    case Collective::kAllGather:
      return AllGatherTraffic(one.bytes, size);
    case Collective::kReduceScatter:
      return ReduceScatterVTraffic(rows, kRowBytes, 0);
    case Collective::kAllReduce:
      return AllReduceTraffic(one.bytes / kElementBytes, kElementBytes, size);
  }
  return BusiestAllToAll(one, size);
}

}  // namespace

double EmulatedSeconds(const CollectiveCase& one, const GroupShape& shape,
                       const MachineSpeeds& speeds) {
  const auto seconds = [&](ExchangeTier tier, const Traffic& traffic) {
    const LinkSpeed& link = tier == ExchangeTier::kIntraNode ? speeds.intra : speeds.inter;
    const EmulatedLinkModel emulated{.bytes_per_second = link.bandwidth,
                                     .latency_seconds = link.latency};
    return 1e-9 * static_cast<double>(emulated.Nanos(traffic));
  };
  if (one.algorithm == AllToAllAlgorithm::kDirect) {
    return seconds(one.tier, TrafficOf(one, TierSize(shape, one.tier)));
  }
  return ExpectedSeconds(one.algorithm, shape, static_cast<double>(one.bytes),
                         [&](ExchangeTier tier, const ExchangeTraffic& step) {
                           return seconds(tier, {1, std::llround(BusierWay(step)), step.messages});
                         });
}

}  // namespace weft
