#pragma once

#include <vector>

#include "tests/runtime/tiny_job.h"

namespace weft {

// The job on as many threads as it has ranks; a result of each. Fails the test when one fails.
std::vector<TinyResult> RunRanks(const TinyJob& job);

}  // namespace weft
