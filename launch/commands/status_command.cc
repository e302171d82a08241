#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "launch/commands/commands.h"
#include "launch/commands/person_command.h"

namespace weft {
namespace {

using nlohmann::json;

json ToJson(const v1::RankState& rank) {
  return {{"rank", rank.member().rank()},
          {"node", rank.member().node()},
          {"host", rank.member().host()},
          {"pid", rank.member().pid()},
          {"step", rank.step()},
          {"plan_epoch", rank.prepared_epoch()},
          {"left", rank.left()},
          {"silent_seconds", 1e-3 * static_cast<double>(rank.silent_millis())}};
}

json ToJson(const v1::GetStatusResponse& status) {
  const v1::JobStatus& job = status.job();
  json object = {{"name", job.name()},
                 {"phase", job.phase()},
                 {"run_directory", job.run_directory()},
                 {"world_size", job.world_size()},
                 {"step", job.step()},
                 {"total_steps", job.total_steps()},
                 {"loss", job.loss()},
                 {"val_bits_per_byte", job.val_bits_per_byte()},
                 {"tokens_per_second", job.tokens_per_second()},
                 {"plan_epoch", job.plan_epoch()},
                 {"predicted_step_seconds", job.predicted_step_seconds()},
                 {"measured_step_seconds", job.measured_step_seconds()},
                 {"last_checkpoint_step", job.last_checkpoint_step()},
                 {"ranks", json::array()},
                 {"failure", nullptr}};
  for (const v1::RankState& rank : status.ranks()) object["ranks"].push_back(ToJson(rank));
  if (status.has_failure()) {
    object["failure"] = {{"rank", status.failure().origin().rank()},
                         {"message", status.failure().message()}};
  }
  return object;
}

std::string LossLine(const v1::JobStatus& job) {
  std::string line = absl::StrFormat("%.4f", job.loss());
  if (job.val_bits_per_byte() > 0) {
    absl::StrAppendFormat(&line, ", validation %.4f bits per byte", job.val_bits_per_byte());
  }
  return line;
}

std::string SpeedLine(const v1::JobStatus& job) {
  std::string line =
      absl::StrFormat("%s tokens/s, a step takes %s", FormatCount(job.tokens_per_second()),
                      FormatSeconds(job.measured_step_seconds()));
  if (job.predicted_step_seconds() > 0) {
    absl::StrAppendFormat(&line, ", plan epoch %d predicted %s", job.plan_epoch(),
                          FormatSeconds(job.predicted_step_seconds()));
  }
  return line;
}

std::string RankLine(const v1::RankState& rank) {
  std::string line =
      absl::StrFormat("  rank %d  node %d  %s  pid %d  step %d", rank.member().rank(),
                      rank.member().node(), rank.member().host(), rank.member().pid(), rank.step());
  if (rank.left()) return line + "  has finished";
  return line +
         absl::StrFormat("  heard %.1f s ago", 1e-3 * static_cast<double>(rank.silent_millis()));
}

void WriteText(const v1::GetStatusResponse& status, std::ostream& out) {
  const v1::JobStatus& job = status.job();
  out << "run         " << job.name() << " in " << job.run_directory() << '\n';
  out << "phase       " << job.phase() << '\n';
  if (status.has_failure()) out << "failure     " << status.failure().message() << '\n';
  out << "step        " << job.step() << " of " << job.total_steps() << '\n';
  if (job.step() > 0) {
    out << "loss        " << LossLine(job) << '\n';
    out << "speed       " << SpeedLine(job) << '\n';
  }
  out << "checkpoint  ";
  if (job.last_checkpoint_step() < 0) {
    out << "none yet\n";
  } else {
    out << "step " << job.last_checkpoint_step() << '\n';
  }
  out << "ranks       " << status.ranks_size() << " of " << job.world_size() << '\n';
  for (const v1::RankState& rank : status.ranks()) out << RankLine(rank) << '\n';
}

absl::Status ShowStatus(JobClient& job, bool as_json, std::ostream& out) {
  WEFT_ASSIGN_OR_RETURN(const v1::GetStatusResponse status, job.GetStatus());
  if (as_json) {
    out << ToJson(status).dump(2, ' ', false, json::error_handler_t::replace) << '\n';
  } else {
    WriteText(status, out);
  }
  return absl::OkStatus();
}

}  // namespace

int RunStatusCommand(const std::vector<std::string>& arguments, std::ostream& out,
                     std::ostream& err) {
  return RunPersonCommand(
      {"status", "Shows where the job stands and when each rank was last heard of.", ShowStatus},
      arguments, out, err);
}

}  // namespace weft
