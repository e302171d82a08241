#include "launch/explain.h"

#include "launch/commands/arguments.h"
#include "launch/commands/exit_codes.h"
#include "runtime/run_directory.h"
#include "runtime/storage/durable_file.h"

namespace weft {
namespace {

constexpr char kUsage[] =
    "weft explain [RUN]\n"
    "  Why the newest plan of a run (default runs/latest) is as it is: candidates, predicted "
    "times, cases, the plans that the search compared.\n";

// As the run itself wrote it when it installed the plan, and when it ended: it alone knows the
// loads and what it has measured.
absl::StatusOr<std::string> ExplainRun(const std::string& directory) {
  return LoadFile(RunDirectory::At(directory).Join("explain.txt"));
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
