#include "comm/sim/traffic.h"

#include <algorithm>

#include "base/all_reduce.h"
#include "comm/rows.h"

namespace weft {

namespace {

// Members that there is something for, `me` left out.
int64_t Others(std::span<const int64_t> rows, int me) {
  const auto some = std::ssize(rows) - std::count(rows.begin(), rows.end(), 0);
  return some - (rows[static_cast<size_t>(me)] > 0 ? 1 : 0);
}

int64_t Messages(int64_t count, int64_t bytes) { return bytes > 0 ? count : 0; }

}  // namespace

Traffic AllReduceTraffic(int64_t elements, int64_t element_bytes, int size) {
  const int64_t peers = size - 1;
  const AllReduceCost cost = CostOfAllReduce(elements, element_bytes, size);
  return {cost.steps, cost.bytes, Messages(cost.steps * peers, cost.bytes)};
}

Traffic AllGatherTraffic(int64_t bytes, int size) {
  const int64_t peers = size - 1;
  return {1, peers * bytes, Messages(peers, bytes)};
}

Traffic AllGatherVTraffic(std::span<const int64_t> rows, int64_t row_bytes, int me) {
  const int64_t peers = std::ssize(rows) - 1;
  const int64_t mine = rows[static_cast<size_t>(me)];
  const int64_t from_others = TotalRows(rows) - mine;
  return {1, std::max(peers * mine, from_others) * row_bytes,
          std::max(Messages(peers, mine), Others(rows, me))};
}

// The all-gather backwards: the same messages in the other direction.
Traffic ReduceScatterVTraffic(std::span<const int64_t> rows, int64_t row_bytes, int me) {
  return AllGatherVTraffic(rows, row_bytes, me);
}

Traffic AllToAllVTraffic(std::span<const int64_t> send_rows, std::span<const int64_t> recv_rows,
                         int64_t row_bytes, int me) {
  const auto own = static_cast<size_t>(me);
  const int64_t to_others = TotalRows(send_rows) - send_rows[own];
  const int64_t from_others = TotalRows(recv_rows) - recv_rows[own];
  return {1, std::max(to_others, from_others) * row_bytes,
          std::max(Others(send_rows, me), Others(recv_rows, me))};
}

Traffic BroadcastTraffic(int64_t bytes, int size, bool is_root) {
  const int64_t copies = is_root ? size - 1 : 1;
  return {1, copies * bytes, Messages(copies, bytes)};
}

Traffic BarrierTraffic() { return {1, 0, 0}; }

}  // namespace weft
