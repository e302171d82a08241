#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "comm/backend.h"
#include "graph/topology.h"
#include "runtime/coordination.h"
#include "runtime/options.h"
#include "runtime/run_directory.h"
#include "runtime/summary.h"
#include "tensor/kernels/compute_device.h"

namespace weft {

struct JobArgs {
  Backend& backend;  // of the host's memory
  ComputeDevice& device;
  std::string why_cpu;                // said beside the device, if not empty
  Backend* device_backend = nullptr;  // also of the device's memory; null: through the host's
  std::string collectives = {};       // said beside it: how they go on the device, and why
  Coordination& coordination;
  const JobOptions& options;
  Topology topology;
  Layout layout;
  RunDirectory run;          // the same on all ranks
  std::string config_text;   // resolved; its digest goes into checkpoints
  std::string backend_name;  // "mpi" or "socket"
  std::string emulation;  // of links and processors, for people and for the profile's fingerprint;
                          // empty: none
  bool resume = false;    // start from the newest checkpoint of `run`
  std::function<bool()>
      stop_requested;  // this rank was told to stop (a signal); asked between steps
};

// A whole job, on every rank alike: load the text, calibrate, plan, train with validation,
// re-planning and checkpoints, compare policies where asked, and leave a run
// directory behind. COLLECTIVE over the backend's world. The summary is complete on rank 0. Errors:
// kInvalidArgument (bad input, before anything starts), kOutOfRange (the loss is not finite),
// kDataLoss (no usable checkpoint), and what the communicators return (comm/communicator.h).
absl::StatusOr<JobSummary> RunJob(const JobArgs& args);

}  // namespace weft
