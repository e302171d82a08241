#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "launch/commands/arguments.h"
#include "launch/commands/commands.h"
#include "launch/commands/exit_codes.h"
#include "launch/commands/person_command.h"

namespace weft {
namespace {

absl::Status ShowPlan(JobClient& job, bool json, std::ostream& out) {
  WEFT_ASSIGN_OR_RETURN(const v1::GetPlanResponse plan, job.GetPlan());
  const std::string& text = json ? plan.plan_json() : plan.explanation();
  out << text;
  if (text.empty() || text.back() != '\n') out << '\n';
  return absl::OkStatus();
}

// The answer to a request: `sentence`, or what and at which step.
void ShowRequested(const char* request, int64_t step, bool json, const std::string& sentence,
                   std::ostream& out) {
  if (json) {
    out << nlohmann::json{{"requested", request}, {"step", step}}.dump() << '\n';
  } else {
    out << sentence << '\n';
  }
}

absl::Status ShowStop(JobClient& job, bool json, std::ostream& out) {
  WEFT_ASSIGN_OR_RETURN(const v1::StopResponse answer, job.Stop());
  ShowRequested("stop", answer.step(), json,
                absl::StrCat("asked the job, at step ", answer.step(),
                             ", to end after its running step with a checkpoint"),
                out);
  return absl::OkStatus();
}

absl::Status ShowCheckpoint(JobClient& job, bool json, std::ostream& out) {
  WEFT_ASSIGN_OR_RETURN(const v1::CheckpointResponse answer, job.Checkpoint());
  ShowRequested("checkpoint", answer.step(), json,
                absl::StrCat("asked the job, at step ", answer.step(),
                             ", for a checkpoint at its next step boundary"),
                out);
  return absl::OkStatus();
}

}  // namespace

int RunPersonCommand(const PersonCommand& command, const std::vector<std::string>& arguments,
                     std::ostream& out, std::ostream& err) {
  const absl::StatusOr<Arguments> parsed =
      ParseArguments(arguments, {.valued = {"--run"}, .switches = {"--json", "--help"}});
  if (!parsed.ok()) {
    err << "weft " << command.name << ": " << parsed.status().message() << '\n';
    return kExitUsage;
  }
  if (parsed->has("--help")) {
    out << "weft " << command.name << " [--run DIRECTORY] [--json]\n  " << command.summary
        << "\n  --run DIRECTORY  where the job runs (runs/latest)\n"
        << "  --json           for programs\n";
    return kExitDone;
  }
  const absl::StatusOr<std::unique_ptr<JobClient>> job =
      JobClient::Find(parsed->value_or("--run", "runs/latest"));
  const absl::Status status =
      job.ok() ? command.show(**job, parsed->has("--json"), out) : job.status();
  if (status.ok()) return kExitDone;
  err << "weft " << command.name << ": " << status.message() << '\n';
  return absl::IsNotFound(status) ? kExitWorkerFailed : kExitInternal;
}

int RunPlanCommand(const std::vector<std::string>& arguments, std::ostream& out,
                   std::ostream& err) {
  return RunPersonCommand(
      {"plan", "Explains the plan the job runs; with --json the plan itself.", ShowPlan}, arguments,
      out, err);
}

int RunStopCommand(const std::vector<std::string>& arguments, std::ostream& out,
                   std::ostream& err) {
  return RunPersonCommand(
      {"stop", "Asks the job to end after its running step, with a checkpoint.", ShowStop},
      arguments, out, err);
}

int RunCheckpointCommand(const std::vector<std::string>& arguments, std::ostream& out,
                         std::ostream& err) {
  return RunPersonCommand(
      {"checkpoint", "Asks the job for a checkpoint at its next step boundary.", ShowCheckpoint},
      arguments, out, err);
}

}  // namespace weft
