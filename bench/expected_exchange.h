#pragma once

#include "absl/functional/function_ref.h"
#include "comm/hierarchy/exchange_outline.h"

namespace weft {

// A link carries both directions at once: the bytes of the busier one.
double BusierWay(const ExchangeTraffic& traffic);

// The seconds of one step for a member that moves `traffic` in it.
using StepSeconds = absl::FunctionRef<double(ExchangeTier tier, const ExchangeTraffic& traffic)>;

// The seconds of an all-to-all of an even load by the closed forms of docs/collectives.md: each
// step as long as its busiest member's, independent ones beside each other.
double ExpectedSeconds(AllToAllAlgorithm algorithm, GroupShape shape, double pair_bytes,
                       StepSeconds seconds);

}  // namespace weft
