#include "comm/hierarchy/exchange_plan.h"
#include "comm/hierarchy/row_copies.h"

// The leader of a node is its member of local index 0. Rows for other nodes are gathered there,
// exchanged between leaders and scattered. Rows inside the node do not pass through it: the leader
// sends its own beside the gather and the others send theirs beside the scatter, in the direction
// in which the links are idle.

namespace weft {

void ExchangePlan::Build1DHLeader(RowCounts rows) {
  const int node = shape_.node();
  const int per_node = shape_.members_per_node;
  const int members = shape_.size();
  const auto member_here = [&](int local) { return shape_.member(node, local); };

  // Staging 1 then holds [local source][destination elsewhere].
  ExchangeStep& gather = steps_[0];
  gather.recv = ExchangeBuffer::kStaging1;
  passing_.assign(static_cast<size_t>(per_node) * static_cast<size_t>(members), 0);
  const auto gathered = [&](int source, int destination) -> int64_t& {
    return passing_[static_cast<size_t>(source) * static_cast<size_t>(members) +
                    static_cast<size_t>(destination)];
  };
  int64_t arrived = 0;
  for (int peer = 1; peer < per_node; ++peer) {
    const auto p = static_cast<size_t>(peer);
    gather.send_begin[p] = InputAt(member_here(peer));
    gather.send_rows[p] = RowsTo(member_here(peer));
    gather.recv_begin[p] = arrived;
    for (int destination = 0; destination < members; ++destination) {
      if (shape_.node_of(destination) == node) continue;
      gathered(peer, destination) = arrived;
      arrived += rows(member_here(peer), destination);
    }
    gather.recv_rows[p] = arrived - gather.recv_begin[p];
  }
  CopyOwnRows(gather.after);

  // What travels to a node is [destination there][source here].
  ExchangeStep& between = steps_[1];
  between.send = ExchangeBuffer::kStaging0;
  between.recv = ExchangeBuffer::kStaging1;
  int64_t packed = 0;
  for (int to_node = 0; to_node < shape_.nodes; ++to_node) {
    if (to_node == node) continue;
    const auto n = static_cast<size_t>(to_node);
    between.send_begin[n] = packed;
    for (int local = 0; local < per_node; ++local) {
      const int destination = shape_.member(to_node, local);
      AddCopy({ExchangeBuffer::kInput, InputAt(destination)}, {ExchangeBuffer::kStaging0, packed},
              RowsTo(destination), between.before);
      packed += RowsTo(destination);
      for (int source = 1; source < per_node; ++source) {
        const int64_t count = rows(member_here(source), destination);
        AddCopy({ExchangeBuffer::kStaging1, gathered(source, destination)},
                {ExchangeBuffer::kStaging0, packed}, count, between.before);
        packed += count;
      }
    }
    between.send_rows[n] = packed - between.send_begin[n];
  }

  // Staging 1 then holds [other node][local destination][source there].
  passing_.assign(static_cast<size_t>(members), 0);
  const auto arriving_at = [&](int from_node, int local) -> int64_t& {
    return passing_[static_cast<size_t>(shape_.member(from_node, local))];
  };
  const auto rows_from_node = [&](int from_node, int local) {
    int64_t count = 0;
    for (int source = 0; source < per_node; ++source) {
      count += rows(shape_.member(from_node, source), member_here(local));
    }
    return count;
  };
  arrived = 0;
  for (int from_node = 0; from_node < shape_.nodes; ++from_node) {
    if (from_node == node) continue;
    const auto n = static_cast<size_t>(from_node);
    between.recv_begin[n] = arrived;
    for (int local = 0; local < per_node; ++local) {
      arriving_at(from_node, local) = arrived;
      arrived += rows_from_node(from_node, local);
    }
    between.recv_rows[n] = arrived - between.recv_begin[n];
    AddCopy({ExchangeBuffer::kStaging1, arriving_at(from_node, 0)},
            {ExchangeBuffer::kOutput, OutputAt(shape_.member(from_node, 0))},
            OutputRows(shape_.member(from_node, 0), shape_.member(from_node + 1, 0)),
            between.after);
  }

  ExchangeStep& scatter = steps_[2];
  scatter.send = ExchangeBuffer::kStaging0;
  packed = 0;
  for (int peer = 1; peer < per_node; ++peer) {
    const auto p = static_cast<size_t>(peer);
    scatter.send_begin[p] = packed;
    for (int from_node = 0; from_node < shape_.nodes; ++from_node) {
      if (from_node == node) continue;
      const int64_t count = rows_from_node(from_node, peer);
      AddCopy({ExchangeBuffer::kStaging1, arriving_at(from_node, peer)},
              {ExchangeBuffer::kStaging0, packed}, count, scatter.before);
      packed += count;
    }
    scatter.send_rows[p] = packed - scatter.send_begin[p];
    scatter.recv_begin[p] = OutputAt(member_here(peer));
    scatter.recv_rows[p] = RowsFrom(member_here(peer));
  }
}

void ExchangePlan::Build1DHFollower() {
  const int leader = FirstHere();
  const int behind = FirstBehind();
  const int end = shape_.size();
  // The rows of other nodes lie around those of this one: in one piece on the first and the last
  // node only.
  const bool one_piece = shape_.node() == 0 || shape_.node() == shape_.nodes - 1;

  ExchangeStep& gather = steps_[0];
  gather.send_rows[0] = InputRows(0, leader) + InputRows(behind, end);
  if (one_piece) {
    gather.send_begin[0] = shape_.node() == 0 ? InputAt(behind) : 0;
  } else {
    gather.send = ExchangeBuffer::kStaging0;
    AddCopy({ExchangeBuffer::kInput, 0}, {ExchangeBuffer::kStaging0, 0}, InputRows(0, leader),
            gather.before);
    AddCopy({ExchangeBuffer::kInput, InputAt(behind)},
            {ExchangeBuffer::kStaging0, InputRows(0, leader)}, InputRows(behind, end),
            gather.before);
  }
  gather.recv_begin[0] = OutputAt(leader);
  gather.recv_rows[0] = RowsFrom(leader);
  CopyOwnRows(gather.after);

  ExchangeStep& scatter = steps_[2];
  const int64_t from_leader = OutputRows(0, leader) + OutputRows(behind, end);
  scatter.recv_rows[0] = from_leader;
  if (one_piece) {
    scatter.recv_begin[0] = shape_.node() == 0 ? OutputAt(behind) : 0;
  } else {
    scatter.recv = ExchangeBuffer::kStaging1;
    AddCopy({ExchangeBuffer::kStaging1, 0}, {ExchangeBuffer::kOutput, 0}, OutputRows(0, leader),
            scatter.after);
    AddCopy({ExchangeBuffer::kStaging1, OutputRows(0, leader)},
            {ExchangeBuffer::kOutput, OutputAt(behind)}, OutputRows(behind, end), scatter.after);
  }
  int64_t arrived = from_leader;
  for (int peer = 0; peer < shape_.members_per_node; ++peer) {
    if (peer == shape_.local()) continue;
    const auto p = static_cast<size_t>(peer);
    const int member = leader + peer;
    scatter.send_begin[p] = InputAt(member);
    scatter.send_rows[p] = RowsTo(member);
    if (peer == 0) continue;  // its own rows came beside the gather
    scatter.recv_rows[p] = RowsFrom(member);
    if (one_piece) {
      scatter.recv_begin[p] = OutputAt(member);
      continue;
    }
    scatter.recv_begin[p] = arrived;
    AddCopy({ExchangeBuffer::kStaging1, arrived}, {ExchangeBuffer::kOutput, OutputAt(member)},
            RowsFrom(member), scatter.after);
    arrived += RowsFrom(member);
  }
}

}  // namespace weft
