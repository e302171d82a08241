#pragma once

#include "absl/status/statusor.h"
#include "graph/profile_table.h"
#include "runtime/worker.h"

namespace weft {

struct Calibration {
  ProfileTable table;  // fitted; the same on all ranks
  double seconds = 0;  // what it took
  int32_t rounds = 0;  // repetitions of the communication sweep
};

// Measures what the job's operations cost on this machine, all ranks at once, by small step graphs
// run by the executor: a sweep of every class of collective on its real group, and training steps
// of a model of one block at the job's widths and batch, cut by several degrees: task after task
// for what each costs alone, overlapped for what streams cost one another; both for every limit of
// multiprocessors that the backend offers. Parameters of `worker`
// are not touched. COLLECTIVE. `budget_seconds` is a target: at least three rounds are run.
absl::StatusOr<Calibration> Calibrate(Backend& backend, Worker& worker, double budget_seconds);

// Digest of what a profile depends on: layout, emulation and host. A profile made under
// another one is refused.
uint64_t MachineFingerprint(const Topology& topology, const Layout& layout,
                            const std::string& emulation);

}  // namespace weft
