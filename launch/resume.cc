#include "launch/resume.h"

#include "absl/strings/str_cat.h"
#include "launch/commands/arguments.h"
#include "launch/commands/commands.h"
#include "launch/commands/exit_codes.h"
#include "launch/job_file.h"

namespace weft {
namespace {

constexpr char kUsage[] =
    "weft resume [--processes] RUN [KEY=VALUE...]\n"
    "  Goes on with a run from its newest checkpoint, on as many ranks as it had.\n"
    "  --processes  start them without mpirun or MPI, all on this machine\n";

}  // namespace

int RunResumeCommand(const std::vector<std::string>& given, std::ostream& out, std::ostream& err) {
  std::vector<std::string> arguments = given;
  const bool processes = std::erase(arguments, "--processes") > 0;
  if (!arguments.empty() && arguments[0] == "--help") {
    out << kUsage;
    return kExitDone;
  }
  if (arguments.empty()) {
    err << "weft resume: a run directory is needed\n" << kUsage;
    return kExitUsage;
  }
  const absl::StatusOr<JobShape> shape = LoadJobFile(arguments[0]);
  if (!shape.ok()) {
    err << "weft resume: " << shape.status().message() << "\n";
    return kExitUsage;
  }
  std::vector<std::string> launch = {"-n", absl::StrCat(shape->topology.world_size)};
  if (processes) launch.emplace_back("--processes");
  launch.push_back(absl::StrCat(arguments[0], "/config.yaml"));
  launch.push_back(absl::StrCat("--resume=", arguments[0]));
  launch.insert(launch.end(), arguments.begin() + 1, arguments.end());
  return RunLaunchCommand(launch, out, err);
}

}  // namespace weft
