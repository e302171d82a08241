#pragma once

#include "tests/comm/communicator_contract.h"

// What an exchange must do over any backend: in every world all groups and nodes that it can be cut
// into, every algorithm, every load of row_matrices.h.

namespace weft {

class ExchangeContract : public CommunicatorContract {};

}  // namespace weft
