#pragma once

#include <cstdint>
#include <map>

#include "comm/communicator.h"
#include "graph/topology.h"
#include "models/batch_shape.h"
#include "models/model_spec.h"
#include "tensor/kernels/kernels.h"

namespace weft {

// What every module of one rank's model is made with. Pointers outlive the model.
struct ModelContext {
  ModelSpec spec;
  Topology topology;
  Layout layout;
  RankId rank;
  BatchShape batch;
  uint64_t seed = 0;            // of forced routing
  Kernels* kernels = nullptr;   // used by the compute stream only
  Communicator* ep = nullptr;   // null when EP is 1
  Communicator* esp = nullptr;  // null when ESP is 1
  Communicator* mp = nullptr;   // null when MP is 1
  // Parts of the ESP group, by how many ranks they have, for proper divisors of ESP: consecutive
  // ranks that gather one another's shards, and those of equal place among these, which then
  // gather rows.
  std::map<int32_t, Communicator*> esp_near, esp_far;
  // For all-to-alls in steps; null when there is only one member.
  Communicator* ep_node = nullptr;   // the members of the EP group on this node
  Communicator* ep_peers = nullptr;  // ... at this place of their nodes
};

}  // namespace weft
