// weft: the command-line tool. Prepares data, starts and resumes jobs, talks to running ones,
// explains plans.

#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "launch/commands/commands.h"
#include "launch/commands/exit_codes.h"
#include "launch/explain.h"
#include "launch/resume.h"
#include "launch/simulate.h"
#include "runtime/data/data_command.h"

namespace weft {
namespace {

using Command = std::function<int(const std::vector<std::string>&, std::ostream&, std::ostream&)>;

struct Entry {
  const char* summary;
  Command run;
};

int RunData(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  const absl::Status status = RunDataCommand(arguments, out);
  if (status.ok()) return kExitDone;
  err << "weft data: " << status.message() << "\n";
  return kExitUsage;
}

const std::map<std::string, Entry>& Commands() {
  static const std::map<std::string, Entry> commands = {
      {"data", {"turn text into datasets, describe a dataset", RunData}},
      {"launch", {"start a job and wait for its end", RunLaunchCommand}},
      {"resume", {"go on with a run from its newest checkpoint", RunResumeCommand}},
      {"status", {"where the running job stands", RunStatusCommand}},
      {"plan", {"the plan the running job runs", RunPlanCommand}},
      {"explain", {"why a run's plan is as it is", RunExplainCommand}},
      {"simulate",
       {"plan and simulate on a described cluster, without running", RunSimulateCommand}},
      {"stop", {"ask the running job to end with a checkpoint", RunStopCommand}},
      {"checkpoint", {"ask the running job for a checkpoint", RunCheckpointCommand}},
  };
  return commands;
}

void PrintUsage(std::ostream& out) {
  out << "weft COMMAND [ARGUMENTS]; weft COMMAND --help says more\n";
  for (const auto& [name, entry] : Commands()) {
    out << "  " << name << std::string(12 - name.size(), ' ') << entry.summary << "\n";
  }
}

int Main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "help") {
    PrintUsage(arguments.empty() ? std::cerr : std::cout);
    return arguments.empty() ? kExitUsage : kExitDone;
  }
  if (arguments[0] == "--version") {
    std::cout << "weft " << WEFT_VERSION << "\n";
    return kExitDone;
  }
  const auto it = Commands().find(arguments[0]);
  if (it == Commands().end()) {
    std::cerr << "weft: unknown command '" << arguments[0] << "'\n";
    PrintUsage(std::cerr);
    return kExitUsage;
  }
  return it->second.run({arguments.begin() + 1, arguments.end()}, std::cout, std::cerr);
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::Main(argc, argv); }
