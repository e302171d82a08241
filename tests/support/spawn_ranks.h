#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "comm/backend.h"

namespace weft {

// Turns a rank's backend into another around it, e.g. a SimBackend.
using DecorateBackend = std::function<std::unique_ptr<Backend>(std::unique_ptr<Backend> inner)>;

// Runs fn on `world_size` threads, each the one rank of a fresh in-process world, and joins them.
// The first error (in time) aborts the communicators of all ranks, so that nobody waits for a rank
// that has left, and is returned with the rank in front.
absl::Status SpawnRanks(int world_size, const std::function<absl::Status(Backend& backend)>& fn,
                        const DecorateBackend& decorate = nullptr);

}  // namespace weft
