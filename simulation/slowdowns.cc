#include "simulation/slowdowns.h"

#include <cmath>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace weft {
namespace {

std::string NameOf(const Straggler& straggler) {
  return straggler.rank >= 0 ? absl::StrCat("straggler rank ", straggler.rank)
                             : absl::StrCat("straggler node ", straggler.node);
}

absl::Status BadPlace(absl::string_view what, int32_t place, int32_t count) {
  return absl::InvalidArgumentError(
      absl::StrCat("a straggler's ", what, " must be from 0 to ", count - 1, ", not ", place));
}

}  // namespace

absl::Status ValidateStraggler(const Straggler& straggler, const Topology& topology) {
  if ((straggler.rank >= 0) == (straggler.node >= 0)) {
    return absl::InvalidArgumentError("a straggler names one rank or one node, from 0");
  }
  if (straggler.rank >= topology.world_size) {
    return BadPlace("rank", straggler.rank, topology.world_size);
  }
  if (straggler.node >= topology.num_nodes()) {
    return BadPlace("node", straggler.node, topology.num_nodes());
  }
  for (const double factor : {straggler.compute, straggler.link}) {
    if (!(factor >= 1) || !std::isfinite(factor)) {
      return absl::InvalidArgumentError(
          absl::StrCat(NameOf(straggler), ": compute and link are factors of at least 1"));
    }
  }
  if (straggler.compute == 1 && straggler.link == 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(NameOf(straggler), " needs a factor: compute or link, greater than 1"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Straggler> ParseStraggler(std::string_view text) {
  const absl::string_view whole(text.data(), text.size());
  const auto bad = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("straggler '", whole,
                     "': expected rank=N or node=N, and compute=FACTOR, link=FACTOR or both, such "
                     "as rank=3,compute=1.5"));
  };
  Straggler straggler;
  for (const absl::string_view part : absl::StrSplit(whole, ',')) {
    const std::vector<absl::string_view> sides = absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (sides.size() != 2) return bad();
    const bool rank = sides[0] == "rank", compute = sides[0] == "compute";
    if (rank || sides[0] == "node") {
      int32_t& place = rank ? straggler.rank : straggler.node;
      if (place >= 0 || !absl::SimpleAtoi(sides[1], &place) || place < 0) return bad();
    } else if (compute || sides[0] == "link") {
      double& factor = compute ? straggler.compute : straggler.link;
      if (factor != 1 || !absl::SimpleAtod(sides[1], &factor)) return bad();
    } else {
      return bad();
    }
  }
  return straggler;
}

Slowdowns SlowdownsOf(const std::vector<Straggler>& stragglers, const Topology& topology) {
  Slowdowns slowdowns;
  slowdowns.compute.assign(static_cast<size_t>(topology.world_size), 1.0);
  slowdowns.link = slowdowns.compute;
  for (const Straggler& straggler : stragglers) {
    const bool one = straggler.rank >= 0;
    const int32_t first = one ? straggler.rank : straggler.node * topology.ranks_per_node;
    const int32_t count = one ? 1 : topology.ranks_per_node;
    for (int32_t rank = first; rank < first + count; ++rank) {
      slowdowns.compute[static_cast<size_t>(rank)] *= straggler.compute;
      slowdowns.link[static_cast<size_t>(rank)] *= straggler.link;
    }
  }
  return slowdowns;
}

}  // namespace weft
