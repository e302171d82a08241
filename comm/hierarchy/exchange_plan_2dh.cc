#include "comm/hierarchy/exchange_plan.h"
#include "comm/hierarchy/row_copies.h"

namespace weft {

// Local member j takes what its node has for the members of local index j, wherever they are; then
// each exchanges with its likes. Between the steps staging 1 holds [local source][node of the
// destination].
void ExchangePlan::Build2DH(RowCounts rows) {
  const int node = shape_.node();
  const int local = shape_.local();
  const int per_node = shape_.members_per_node;
  const auto rows_through_me = [&](int source, int to_node) {
    return rows(shape_.member(node, source), shape_.member(to_node, local));
  };
  passing_.assign(static_cast<size_t>(shape_.size()), 0);
  const auto passing = [&](int source, int to_node) -> int64_t& {
    return passing_[static_cast<size_t>(source) * static_cast<size_t>(shape_.nodes) +
                    static_cast<size_t>(to_node)];
  };

  ExchangeStep& intra = steps_[0];
  intra.send = ExchangeBuffer::kStaging0;
  intra.recv = ExchangeBuffer::kStaging1;
  int64_t packed = 0;
  int64_t arrived = 0;
  for (int peer = 0; peer < per_node; ++peer) {
    if (peer == local) continue;
    const auto p = static_cast<size_t>(peer);
    intra.send_begin[p] = packed;
    intra.recv_begin[p] = arrived;
    for (int to_node = 0; to_node < shape_.nodes; ++to_node) {
      const int destination = shape_.member(to_node, peer);
      AddCopy({ExchangeBuffer::kInput, InputAt(destination)}, {ExchangeBuffer::kStaging0, packed},
              RowsTo(destination), intra.before);
      packed += RowsTo(destination);
      passing(peer, to_node) = arrived;
      arrived += rows_through_me(peer, to_node);
    }
    intra.send_rows[p] = packed - intra.send_begin[p];
    intra.recv_rows[p] = arrived - intra.recv_begin[p];
  }

  // Rows for other nodes are packed source by source and so land in the order of the output; rows
  // that have reached their node already go straight there.
  ExchangeStep& inter = steps_[1];
  inter.send = ExchangeBuffer::kStaging0;
  packed = 0;
  for (int to_node = 0; to_node < shape_.nodes; ++to_node) {
    const bool here = to_node == node;
    const auto n = static_cast<size_t>(to_node);
    inter.send_begin[n] = packed;
    for (int source = 0; source < per_node; ++source) {
      const RowPlace from =
          source == local ? RowPlace{ExchangeBuffer::kInput, InputAt(shape_.member(to_node, local))}
                          : RowPlace{ExchangeBuffer::kStaging1, passing(source, to_node)};
      const int64_t count = rows_through_me(source, to_node);
      if (here) {
        AddCopy(from, {ExchangeBuffer::kOutput, OutputAt(shape_.member(node, source))}, count,
                intra.after);
      } else {
        AddCopy(from, {ExchangeBuffer::kStaging0, packed}, count, inter.before);
        packed += count;
      }
    }
    inter.send_rows[n] = packed - inter.send_begin[n];
    inter.recv_begin[n] = OutputAt(shape_.member(to_node, 0));
    if (!here) {
      inter.recv_rows[n] = OutputRows(shape_.member(to_node, 0), shape_.member(to_node + 1, 0));
    }
  }
}

}  // namespace weft
