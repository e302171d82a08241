#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/temporary_directory.h"
#include "launch/commands/arguments.h"
#include "launch/commands/child_ranks.h"
#include "launch/commands/commands.h"
#include "launch/commands/exit_codes.h"
#include "launch/commands/launch_outcome.h"
#include "launch/commands/mpirun.h"
#include "launch/control/run_files.h"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr char kUsage[] =
    "weft launch -n N [--processes] [--grace SECONDS] [--weftd PATH] CONFIG [OVERRIDE...]\n"
    "  Starts a job of N ranks under mpirun and waits for its end.\n"
    "  -n N             how many ranks\n"
    "  --processes      start them without mpirun or MPI, all on this machine\n"
    "  --grace SECONDS  from the request to stop (Ctrl-C) until force is used (120)\n"
    "  --weftd PATH     the program each rank runs (weftd beside this one)\n";

std::string WeftdBesideThisProgram() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  return error ? "weftd" : (self.parent_path() / "weftd").string();
}

absl::StatusOr<LaunchOptions> OptionsFrom(const Arguments& arguments) {
  LaunchOptions options;
  const std::string ranks = arguments.value_or("-n", "");
  if (!absl::SimpleAtoi(ranks, &options.ranks) || options.ranks < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("-n '", ranks, "': the number of ranks, 1 or more, is needed"));
  }
  double grace = 0;
  const std::string grace_text = arguments.value_or("--grace", "120");
  if (!absl::SimpleAtod(grace_text, &grace) || !(grace >= 0 && grace <= 1e6)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--grace '", grace_text, "': 0 to 1000000 seconds are allowed"));
  }
  options.grace = absl::Seconds(grace);
  if (arguments.operands.empty()) {
    return absl::InvalidArgumentError("a configuration file is needed");
  }
  const std::string weftd = arguments.value_or("--weftd", WeftdBesideThisProgram());
  // mpirun's exit code for a program it cannot start looks like a signal.
  if (access(weftd.c_str(), X_OK) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(weftd, " is not a program that can be run"));
  }
  options.command = {fs::absolute(weftd).string()};
  options.command.insert(options.command.end(), arguments.operands.begin(),
                         arguments.operands.end());
  return options;
}

// Rank 0 told in which directory the job ran, if it came that far.
ExitFile JudgeAndRecord(const RanksEnd& end, const std::string& launch_directory,
                        std::ostream& err) {
  const absl::StatusOr<std::string> run_directory = LoadAnnouncedRunDirectory(launch_directory);
  std::optional<Failure> failure;
  if (run_directory.ok()) {
    absl::StatusOr<Failure> loaded = LoadFailureFile(*run_directory);
    if (loaded.ok()) {
      failure = *std::move(loaded);
    } else if (!absl::IsNotFound(loaded.status())) {
      err << "weft launch: " << loaded.status().message() << '\n';
    }
  }
  ExitFile file = JudgeEnd(end, failure);
  if (run_directory.ok()) {
    const absl::Status written = WriteExitFile(*run_directory, file);
    if (!written.ok()) err << "weft launch: " << written.message() << '\n';
  }
  return file;
}

}  // namespace

int RunLaunchCommand(const std::vector<std::string>& arguments, std::ostream& out,
                     std::ostream& err) {
  const auto fail = [&err](const absl::Status& status, int code) {
    err << "weft launch: " << status.message() << '\n';
    return code;
  };
  const absl::StatusOr<Arguments> parsed =
      ParseArguments(arguments, {.valued = {"-n", "--grace", "--weftd"},
                                 .switches = {"--processes", "--help"},
                                 .operands_follow = true});
  if (!parsed.ok()) return fail(parsed.status(), kExitUsage);
  if (parsed->has("--help")) {
    out << kUsage;
    return kExitDone;
  }
  absl::StatusOr<LaunchOptions> options = OptionsFrom(*parsed);
  if (!options.ok()) return fail(options.status(), kExitUsage);
  const absl::StatusOr<TemporaryDirectory> directory = TemporaryDirectory::Make();
  if (!directory.ok()) return fail(directory.status(), kExitInternal);
  options->launch_directory = directory->path();

  const absl::StatusOr<RanksEnd> end =
      parsed->has("--processes") ? RunChildRanks(*options) : RunMpirun(*options);
  if (!end.ok()) return fail(end.status(), kExitInternal);
  const ExitFile file = JudgeAndRecord(*end, directory->path(), err);
  if (file.exit_code != kExitDone) err << "weft launch: " << file.reason << '\n';
  return file.exit_code;
}

}  // namespace weft
