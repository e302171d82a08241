#pragma once

#include <cstdint>
#include <span>

// What one member moves over its link in each collective of DirectCommunicator: the table of
// docs/collectives.md as code. A member's link carries both directions at once, so that the busier
// direction counts. Own rows cost nothing.

namespace weft {

struct Traffic {
  int64_t steps = 0;     // exchanges one after another: each pays the latency once
  int64_t bytes = 0;     // max(sent to other members, received from them)
  int64_t messages = 0;  // the same of messages that are not empty

  friend bool operator==(const Traffic&, const Traffic&) = default;
};

Traffic AllReduceTraffic(int64_t elements, int64_t element_bytes, int size);
Traffic AllGatherTraffic(int64_t bytes, int size);  // `bytes`: of one contribution
Traffic AllGatherVTraffic(std::span<const int64_t> rows, int64_t row_bytes, int me);
Traffic ReduceScatterVTraffic(std::span<const int64_t> rows, int64_t row_bytes, int me);
Traffic AllToAllVTraffic(std::span<const int64_t> send_rows, std::span<const int64_t> recv_rows,
                         int64_t row_bytes, int me);
Traffic BroadcastTraffic(int64_t bytes, int size, bool is_root);
Traffic BarrierTraffic();

}  // namespace weft
