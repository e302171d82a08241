#include "comm/hierarchy/moved_rows.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "comm/hierarchy/exchange_outline.h"

namespace weft {

void GroupRows::Build(const GroupShape& shape, std::span<const int64_t> rows) {
  shape_ = shape;
  if (shape.flat()) return BuildFlat(rows);
  const auto members = static_cast<size_t>(shape.size());
  const auto nodes = static_cast<size_t>(shape.nodes);
  const auto per_node = static_cast<size_t>(shape.members_per_node);
  here_.assign(members * per_node, 0);
  through_.assign(members * per_node, 0);
  from_node_.assign(nodes * members, 0);
  leaving_.assign(members, 0);
  arriving_.assign(members, 0);
  for (size_t source = 0; source < members; ++source) {
    const size_t node = source / per_node;
    const int64_t* row = rows.data() + source * members;
    int64_t* from = from_node_.data() + node * members;
    for (size_t d = 0; d < members; ++d) from[d] += row[d];
    int64_t* through = through_.data() + source * per_node;
    for (size_t first = 0; first < members; first += per_node) {
      for (size_t local = 0; local < per_node; ++local) through[local] += row[first + local];
    }
    std::copy_n(row + node * per_node, per_node, here_.data() + source * per_node);
    for (size_t local = 0; local < per_node; ++local) {
      leaving_[source] += through[local] - row[node * per_node + local];
    }
  }
  for (size_t node = 0; node < nodes; ++node) {
    for (size_t d = 0; d < members; ++d) {
      if (d / per_node != node) arriving_[d] += from_node_[node * members + d];
    }
  }
}

// One kind of link: all others are elsewhere.
void GroupRows::BuildFlat(std::span<const int64_t> rows) {
  const auto members = static_cast<size_t>(shape_.size());
  leaving_.assign(members, 0);
  arriving_.assign(members, 0);
  for (size_t source = 0; source < members; ++source) {
    const int64_t* row = rows.data() + source * members;
    for (size_t d = 0; d < members; ++d) arriving_[d] += row[d];
    leaving_[source] = std::accumulate(row, row + members, int64_t{0}) - row[source];
  }
  for (size_t m = 0; m < members; ++m) arriving_[m] -= rows[m * members + m];
}

MovedRows GroupRows::Direct(int member) const {
  const MovedRows here = Pipe(0, member), elsewhere = Pipe(1, member);
  return {here.sent + elsewhere.sent, here.received + elsewhere.received};
}

MovedRows GroupRows::Pipe(size_t step, int member) const {
  if (step == 1) return {Leaving(member), Arriving(member)};
  const int node = shape_.node_of(member), local = member % shape_.members_per_node;
  MovedRows moved;
  for (int other = 0; other < shape_.members_per_node; ++other) {
    if (other == local) continue;
    moved.sent += Here(member, other);
    moved.received += Here(shape_.member(node, other), local);
  }
  return moved;
}

// First to the member of the own node that has the destination's local index.
MovedRows GroupRows::TwoLevel(size_t step, int member) const {
  const int node = shape_.node_of(member), local = member % shape_.members_per_node;
  MovedRows moved;
  if (step == 0) {
    for (int other = 0; other < shape_.members_per_node; ++other) {
      if (other == local) continue;
      moved.sent += Through(member, other);
      moved.received += Through(shape_.member(node, other), local);
    }
    return moved;
  }
  for (int to = 0; to < shape_.nodes; ++to) {
    if (to != node) moved.sent += FromNode(node, shape_.member(to, local));
  }
  moved.received = Arriving(member);
  return moved;
}

// Rows inside the node travel beside the gather (from the leader) and beside the scatter (from the
// others).
MovedRows GroupRows::Leader(size_t step, int member) const {
  MovedRows moved;
  for (int local = 0; local < shape_.members_per_node; ++local) {
    const int other = member + local;
    if (step == 1) {
      moved.sent += Leaving(other);
      moved.received += Arriving(other);
    } else if (local > 0) {
      moved.sent += step == 0 ? Here(member, local) : Arriving(other);
      moved.received += step == 0 ? Leaving(other) : Here(other, 0);
    }
  }
  return moved;
}

MovedRows GroupRows::Follower(size_t step, int member) const {
  const int local = member % shape_.members_per_node;
  const int leader = member - local;
  if (step == 0) return {Leaving(member), Here(leader, local)};
  if (step == 1) return {0, 0, false};
  MovedRows moved = Pipe(0, member);
  moved.received += Arriving(member) - Here(leader, local);
  return moved;
}

void GroupRows::Count(AllToAllAlgorithm algorithm, size_t step, std::span<MovedRows> moved) const {
  WEFT_CHECK(step < OutlineOf(algorithm, shape_).size(), "a step of the algorithm");
  const auto of = [&](int member) {
    if (shape_.flat()) return MovedRows{Leaving(member), Arriving(member)};
    switch (algorithm) {
      case AllToAllAlgorithm::kDirect:
        return Direct(member);
      case AllToAllAlgorithm::kPipe:
        return Pipe(step, member);
      case AllToAllAlgorithm::k2DH:
        return TwoLevel(step, member);
      case AllToAllAlgorithm::k1DH:
        return member % shape_.members_per_node == 0 ? Leader(step, member)
                                                     : Follower(step, member);
    }
    WEFT_CHECK(false, "an algorithm");
  };
  for (int member = 0; member < shape_.size(); ++member) {
    moved[static_cast<size_t>(member)] = of(member);
  }
}

}  // namespace weft
