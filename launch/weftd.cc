// weftd: the program every rank of a job runs, started by mpirun, srun or `weft launch`.
//
//   mpirun -n 4 weftd configs/quickstart.yaml [training.steps=100 ...]
//   weftd --check CONFIG        validates and plans without running; exit 0 or 2
//   weftd --print-config CONFIG all keys with the origin of each value
//   weftd --resume RUN          goes on with a run from its newest checkpoint

#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "base/log.h"
#include "launch/check.h"
#include "launch/commands/arguments.h"
#include "launch/commands/exit_codes.h"
#include "launch/config/config.h"
#include "launch/job.h"

namespace weft {
namespace {

constexpr char kUsage[] =
    "weftd [OPTIONS] CONFIG [KEY=VALUE...]\n"
    "  Runs one rank of a training job; start it with mpirun or srun, or use `weft launch`.\n"
    "  Without MPI: WEFT_RANK, WEFT_WORLD_SIZE and WEFT_RENDEZVOUS, a directory of mode 0700, say "
    "who it is.\n"
    "  --check           validate the configuration and plan, then exit: 0, or 2 with what is "
    "wrong\n"
    "  --ranks N         how many ranks --check assumes\n"
    "  --print-config    print every key with the origin of its value\n"
    "  --plan FILE       run this plan.json instead of planning (tuning.plan)\n"
    "  --resume RUN      go on with the run of this directory\n"
    "  --log-format text|json, --quiet\n";

int Usage(const std::string& error) {
  std::cerr << "weftd: " << error << "\n" << kUsage;
  return kExitUsage;
}

int Main(int argc, char** argv) {
  const std::vector<std::string> given(argv + 1, argv + argc);
  ArgumentRules rules;
  rules.valued = {"--ranks", "--plan", "--resume", "--log-format"};
  rules.operands_anywhere = true;
  rules.switches = {"--check", "--print-config", "--help", "--quiet"};
  absl::StatusOr<Arguments> arguments = ParseArguments(given, rules);
  if (!arguments.ok()) return Usage(std::string(arguments.status().message()));
  if (arguments->has("--help")) {
    std::cout << kUsage;
    return kExitDone;
  }
  LogOptions log;
  log.level = arguments->has("--quiet") ? LogLevel::kWarning : LogLevel::kInfo;
  log.format =
      arguments->value_or("--log-format", "text") == "json" ? LogFormat::kJson : LogFormat::kText;
  InitLog(log);

  JobCommand job;
  job.log = log;
  job.resume = arguments->value_or("--resume", "");
  job.overrides = arguments->operands;
  // The first operand is the configuration; a resumed run has its own.
  if (!job.overrides.empty() && job.overrides.front().find('=') == std::string::npos) {
    job.config_path = job.overrides.front();
    job.overrides.erase(job.overrides.begin());
  }
  if (!job.resume.empty()) job.config_path = job.resume + "/config.yaml";
  if (job.config_path.empty()) return Usage("a configuration file is needed");
  if (const std::string plan = arguments->value_or("--plan", ""); !plan.empty()) {
    job.overrides.push_back("tuning.plan=" + plan);
  }
  if (arguments->has("--print-config")) {
    absl::StatusOr<LoadedConfig> config = LoadConfig(job.config_path, job.overrides);
    if (!config.ok()) {
      std::cerr << config.status().message() << "\n";
      return kExitUsage;
    }
    std::cout << PrintConfig(*config);
    return kExitDone;
  }
  if (arguments->has("--check")) {
    return CheckJob(job.config_path, job.overrides, arguments->value_or("--ranks", ""));
  }
  return RunRank(argc, argv, job);
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) { return weft::Main(argc, argv); }
