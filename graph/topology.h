#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/ids.h"
#include "graph/cost_key.h"

// Who is connected to whom. rank = node * ranks_per_node + local; every node has equally many
// ranks.

namespace weft {

struct Topology {
  int32_t world_size = 1;
  int32_t ranks_per_node = 1;

  int32_t num_nodes() const { return world_size / ranks_per_node; }
  int32_t node_of(RankId r) const { return r.value / ranks_per_node; }
  int32_t local_of(RankId r) const { return r.value % ranks_per_node; }
};

// How the ranks are used: rank = (edp * ep + ep_index) * esp + esp_index; W = edp * ep * esp. Dense
// parameters are replicated on all ranks. Expert e lives on ep_index = e * ep / num_experts, its
// hidden dimension cut into esp shards. Beside that, whatever happens to experts, mp consecutive
// ranks share the attention heads of every layer: rank = mp group * mp + mp_index.
struct Layout {
  int32_t edp = 1;
  int32_t ep = 1;
  int32_t esp = 1;
  int32_t mp = 1;
  // ZeRO: 0, whoever holds a parameter updates it; 1, the optimizer state of what several ranks
  // hold is spread over them, and each updates its shard (models/update_shard.h).
  int32_t zero_stage = 0;

  int32_t world_size() const { return edp * expert_ranks(); }
  // That hold one copy of a layer's experts between them. 1: every rank has all of them.
  int32_t expert_ranks() const { return ep * esp; }
  int32_t esp_index(RankId r) const { return r.value % esp; }
  int32_t ep_index(RankId r) const { return r.value / esp % ep; }
  int32_t edp_index(RankId r) const { return r.value / expert_ranks(); }
  int32_t mp_index(RankId r) const { return r.value % mp; }
};

// kInvalidArgument, in one sentence, when the numbers do not fit together or ESP or MP would leave
// its node. ep need not divide num_experts, but every ep_index must own an expert.
absl::Status ValidateLayout(const Topology& topology, const Layout& layout, int32_t num_experts);

// "experts over 4 ranks x 2 shards, attention heads over 2 ranks"; heads only where they are
// shared.
std::string DescribeLayout(const Layout& layout);

// The members of the group of `kind` that `rank` belongs to, ascending; the rank alone for kNone.
// REQUIRES: a valid layout, rank in the world.
std::vector<RankId> GroupOf(const Topology& topology, const Layout& layout, GroupKind kind,
                            RankId rank);

// The slowest link inside that group: kInterNode when two members are on different nodes, kNone for
// a group of one.
LinkClass LinkOf(const Topology& topology, const std::vector<RankId>& group);

}  // namespace weft
