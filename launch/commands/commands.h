#pragma once

#include <ostream>
#include <string>
#include <vector>

// The subcommands of `weft` that speak to a running job or start one. Each takes the arguments
// after its own name, writes data to `out` and everything else to `err`, and returns the program's
// exit code (exit_codes.h). All of the first four know --run DIRECTORY (default runs/latest) and
// --json, all five --help.

namespace weft {

// Where the job stands: step, loss, speed, checkpoint, and when each rank was last heard of.
int RunStatusCommand(const std::vector<std::string>& arguments, std::ostream& out,
                     std::ostream& err);
// The plan the job runs: its explanation, or with --json the plan itself.
int RunPlanCommand(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);
// Asks the job to end after the running step, with a checkpoint. Does not wait for it.
int RunStopCommand(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);
// Asks the job for a checkpoint at the next step boundary. Does not wait for it.
int RunCheckpointCommand(const std::vector<std::string>& arguments, std::ostream& out,
                         std::ostream& err);

// weft launch -n N [--processes] [--grace SECONDS] [--weftd PATH] CONFIG [OVERRIDE...]: starts the
// job under mpirun or as children of this process, passes signals on, waits, and writes exit.json
// into the run directory. REQUIRES: called on the only thread of the process, which alone may take
// SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGCHLD meanwhile.
int RunLaunchCommand(const std::vector<std::string>& arguments, std::ostream& out,
                     std::ostream& err);

}  // namespace weft
