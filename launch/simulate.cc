#include "launch/simulate.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "launch/commands/exit_codes.h"
#include "launch/simulate_modes.h"
#include "scheduler/policies.h"

namespace weft {
namespace {

constexpr char kUsage[] =
    R"(weft simulate --layer 'r=4,a=1.4,g=1.2,e=0.6,s=1.3,gar=0' --order NAME [--json]
  The makespan of one MoE layer: r chunks, the times of one chunk's all-to-all (a), gather (g),
  expert (e) and scatter (s), and of the gradients between them (gar), all in one unit.
  NAME: sequential, tutel, fsmoe_no_iio, fsmoe or weft.
weft simulate --grid fsmoe-1458 --cluster FILE [--layers N] [--policy A,B] [--json]
  FSMoE's 1458 layers under every policy; with --layers models of N such layers with attention.
weft simulate --model CONFIG --cluster FILE [--policy A,B] [--trace FILE] [--json] [KEY=VALUE...]
              [--workload NAME [--step N] | --counts FILE] [--straggler 'rank=3,compute=1.5;...']
              [--trace-ranks 0,1,5]
  A training step of a job's model on the cluster. FILE: a cluster in YAML, or the profile.json in
  a run directory. The trace is of the last policy. One rank stands for all, unless ranks differ:
  in the rows that a workload (w0 to w7, zipf) or a file of row counts routes, or in speed.
)";

absl::StatusOr<std::string> Simulate(const Arguments& arguments) {
  const bool layer = arguments.values.contains("--layer");
  const bool grid = arguments.values.contains("--grid");
  const bool model = arguments.values.contains("--model");
  if (layer + grid + model != 1) {
    return absl::InvalidArgumentError("one of --layer, --grid and --model says what to simulate");
  }
  for (const char* option :
       {"--workload", "--counts", "--step", "--straggler", "--trace", "--trace-ranks"}) {
    if (model || !arguments.values.contains(option)) continue;
    return absl::InvalidArgumentError(absl::StrCat("only --model takes ", option));
  }
  if (!model && !arguments.operands.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", arguments.operands.front(), "': only --model takes KEY=VALUE"));
  }
  if (!layer && !arguments.values.contains("--cluster")) {
    return absl::InvalidArgumentError(
        "--cluster FILE says on what, e.g. "
        "configs/clusters/testbed_a.yaml");
  }
  if (layer) return SimulateOneLayer(arguments);
  return grid ? SimulateGrid(arguments) : SimulateModel(arguments);
}

}  // namespace

absl::StatusOr<std::vector<std::string>> PoliciesOf(const Arguments& arguments) {
  const std::string text = arguments.value_or("--policy", "");
  if (text.empty()) return PolicyNames();
  const std::vector<std::string> policies = absl::StrSplit(text, ',');
  for (const std::string& policy : policies) WEFT_RETURN_IF_ERROR(CheckPolicy(policy));
  return policies;
}

int RunSimulateCommand(const std::vector<std::string>& arguments, std::ostream& out,
                       std::ostream& err) {
  ArgumentRules rules;
  rules.valued = {"--layer",  "--order",  "--grid",     "--cluster",     "--layers",
                  "--model",  "--policy", "--trace",    "--trace-ranks", "--workload",
                  "--counts", "--step",   "--straggler"};
  rules.switches = {"--json", "--help"};
  rules.operands_anywhere = true;
  const absl::StatusOr<Arguments> parsed = ParseArguments(arguments, rules);
  if (parsed.ok() && parsed->has("--help")) {
    out << kUsage;
    return kExitDone;
  }
  const absl::StatusOr<std::string> text =
      parsed.ok() ? Simulate(*parsed) : absl::StatusOr<std::string>(parsed.status());
  if (!text.ok()) {
    err << "weft simulate: " << text.status().message() << "\n";
    return kExitUsage;
  }
  out << *text;
  return kExitDone;
}

}  // namespace weft
