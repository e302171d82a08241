#include "launch/explain.h"

#include "base/status_macros.h"
#include "launch/commands/arguments.h"
#include "launch/commands/exit_codes.h"
#include "launch/config/config.h"
#include "launch/job_file.h"
#include "models/build_step_graph.h"
#include "runtime/batch_shape_of.h"
#include "runtime/replanner.h"
#include "runtime/run_directory.h"
#include "runtime/storage/durable_file.h"

namespace weft {
namespace {

constexpr char kUsage[] =
    "weft explain [RUN]\n"
    "  Why the newest plan of a run (default runs/latest) is as it is: candidates, predicted "
    "times, cases.\n";

absl::StatusOr<std::string> ExplainRun(const std::string& directory) {
  const RunDirectory run = RunDirectory::At(directory);
  WEFT_ASSIGN_OR_RETURN(const LoadedConfig config, LoadConfig(run.Join("config.yaml"), {}));
  WEFT_ASSIGN_OR_RETURN(const JobShape shape, LoadJobFile(directory));
  const JobOptions& o = config.options;
  const BatchShape batch = BatchShapeOf(o.training, shape.topology);
  const auto graph = std::make_shared<const StepGraph>(
      BuildStepGraph(o.model, shape.topology, shape.layout, batch, StepKind::kTraining));
  WEFT_ASSIGN_OR_RETURN(const std::string profile_text, LoadFile(run.Join("profile.json")));
  WEFT_ASSIGN_OR_RETURN(const ProfileTable profile, ProfileFromJson(profile_text));
  WEFT_ASSIGN_OR_RETURN(const std::string plan_text, LoadFile(run.Join("plan.json")));
  WEFT_ASSIGN_OR_RETURN(const Plan plan, PlanFromJson(*graph, plan_text));
  return Replanner(graph, o.tuning, profile,
                   StepShape{o.model, shape.topology, shape.layout, batch})
      .Explain(plan);
}

}  // namespace

int RunExplainCommand(const std::vector<std::string>& arguments, std::ostream& out,
                      std::ostream& err) {
  ArgumentRules rules;
  rules.operands_anywhere = true;
  rules.switches = {"--help"};
  const absl::StatusOr<Arguments> parsed = ParseArguments(arguments, rules);
  if (!parsed.ok() || parsed->operands.size() > 1) {
    err << "weft explain: "
        << (parsed.ok() ? "one run directory at most" : parsed.status().message()) << "\n"
        << kUsage;
    return kExitUsage;
  }
  if (parsed->has("--help")) {
    out << kUsage;
    return kExitDone;
  }
  const absl::StatusOr<std::string> text =
      ExplainRun(parsed->operands.empty() ? "runs/latest" : parsed->operands.front());
  if (!text.ok()) {
    err << "weft explain: " << text.status().message() << "\n";
    return kExitUsage;
  }
  out << *text;
  return kExitDone;
}

}  // namespace weft
