#pragma once

#include <cstdint>
#include <type_traits>

// The bytes between two ranks of one machine, in the machine's own order: one connection a pair and
// communicator carries a Greeting each way, then messages, each a MessageHeader and its bytes.

namespace weft {

// Changes with the format.
inline constexpr uint32_t kWireMagic = 0x57454601;

struct Greeting {
  uint32_t magic = kWireMagic;
  int32_t world_size = 0;
  int32_t from = 0;  // global ranks
  int32_t to = 0;
  int32_t communicator = 0;  // the number of the Connect call
};

struct MessageHeader {
  uint32_t magic = kWireMagic;
  int32_t communicator = 0;
  uint64_t sequence = 0;  // of this sender on this connection, from 0
  int64_t bytes = 0;
};

static_assert(std::has_unique_object_representations_v<Greeting> &&
                  std::has_unique_object_representations_v<MessageHeader>,
              "no padding goes over the wire");

}  // namespace weft
