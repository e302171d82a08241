#pragma once

namespace weft {

// What the programs of Weft return (docs/control.md).
enum ExitCode : int {
  kExitDone = 0,
  kExitInternal = 1,
  kExitUsage = 2,         // command line or configuration
  kExitWorkerFailed = 3,  // a rank died or was lost; of the commands for people: no job is running
  kExitCheckpoint = 4,    // no usable checkpoint
  kExitStorage = 5,       // disk full or failing
  kExitNumerical = 6,     // the loss is not finite
  kExitStopped = 75,  // ended by request with a good checkpoint: start again to go on (EX_TEMPFAIL)
};

}  // namespace weft
