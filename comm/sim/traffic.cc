#include "comm/sim/traffic.h"

#include <algorithm>

#include "comm/direct_communicator.h"
#include "comm/rows.h"

namespace weft {

Traffic AllReduceTraffic(int64_t elements, int64_t element_bytes, int size) {
  const int64_t peers = size - 1;
  if (elements * element_bytes <= kOneStepAllReduceBytes) {
    return {1, peers * elements * element_bytes};
  }
  return {2, 2 * peers * AllReduceBlock(elements, size) * element_bytes};
}

Traffic AllGatherTraffic(int64_t bytes, int size) { return {1, (size - 1) * bytes}; }

Traffic AllGatherVTraffic(std::span<const int64_t> rows, int64_t row_bytes, int me) {
  const int64_t mine = rows[static_cast<size_t>(me)];
  const int64_t to_others = (std::ssize(rows) - 1) * mine;
  const int64_t from_others = TotalRows(rows) - mine;
  return {1, std::max(to_others, from_others) * row_bytes};
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
  return {1, std::max(to_others, from_others) * row_bytes};
}

Traffic BroadcastTraffic(int64_t bytes, int size, bool is_root) {
  return {1, is_root ? (size - 1) * bytes : bytes};
}

Traffic BarrierTraffic() { return {1, 0}; }

}  // namespace weft
