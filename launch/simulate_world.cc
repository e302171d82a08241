#include "launch/simulate_world.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "profiler/sinks/chrome_trace.h"

namespace weft {
namespace {

constexpr size_t kTracedByDefault = 4;

absl::Status LoadRows(const Arguments& arguments, const SimulatedJob& job, UnlikeRanks& ranks) {
  const std::string name = arguments.value_or("--workload", "");
  const std::string counts = arguments.value_or("--counts", "");
  const std::string step_text = arguments.value_or("--step", "0");
  int64_t step = 0;
  if (!absl::SimpleAtoi(step_text, &step) || step < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--step must be a whole number of at least 0, not '", step_text, "'"));
  }
  if (!counts.empty() && !name.empty()) {
    return absl::InvalidArgumentError("one of --workload and --counts says who gets which rows");
  }
  if (counts.empty() && name.empty()) return absl::OkStatus();
  if (job.spec.moe.capacity_mode != CapacityMode::kDropless) {
    return absl::InvalidArgumentError(
        "rows are simulated without capacities: model.moe.capacity_mode must be dropless");
  }
  if (!counts.empty()) {
    WEFT_ASSIGN_OR_RETURN(std::vector<std::vector<int32_t>> matrices,
                          LoadCounts(counts, job.spec, job.topology.world_size));
    ranks.load = absl::StrCat("rows of ", counts);
    ranks.rows = std::make_unique<const CountedRows>(job.spec, job.batch, std::move(matrices));
    return absl::OkStatus();
  }
  const std::optional<Workload> workload = WorkloadOf(name);
  if (!workload.has_value()) {
    const std::span<const std::string_view> names = WorkloadNames();
    std::vector<std::string> known(names.begin(), names.end());
    return absl::InvalidArgumentError(
        absl::StrCat("workload '", name, "' is not known: use ", absl::StrJoin(known, ", ")));
  }
  ranks.load = DescribeWorkload(*workload, job.spec.moe);
  ranks.rows = std::make_unique<const WorkloadRows>(job.spec, job.batch, job.topology.world_size,
                                                    job.training.seed, *workload, step);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> TracedRanksOf(const std::string& text,
                                                   const UnlikeRanks& ranks, int32_t world_size) {
  std::vector<int32_t> traced;
  if (text.empty()) {
    // Those that differ by themselves, then the first ones.
    for (const Straggler& straggler : ranks.stragglers) {
      if (straggler.rank >= 0) traced.push_back(straggler.rank);
    }
    for (int32_t rank = 0; rank < world_size; ++rank) {
      if (traced.size() >= kTracedByDefault) break;
      if (std::find(traced.begin(), traced.end(), rank) == traced.end()) traced.push_back(rank);
    }
    if (traced.size() > kTracedByDefault) traced.resize(kTracedByDefault);
  } else {
    for (const absl::string_view part : absl::StrSplit(text, ',')) {
      int32_t rank = -1;
      if (!absl::SimpleAtoi(part, &rank) || rank < 0 || rank >= world_size) {
        return absl::InvalidArgumentError(absl::StrCat("--trace-ranks must be ranks from 0 to ",
                                                       world_size - 1, " such as 0,1, ", "not '",
                                                       text, "'"));
      }
      traced.push_back(rank);
    }
  }
  std::sort(traced.begin(), traced.end());
  traced.erase(std::unique(traced.begin(), traced.end()), traced.end());
  return traced;
}

// Of all ranks' time: how much of it a stream is busy.
double BusyShare(const WorldStep& step, StreamKind stream) {
  double busy = 0;
  for (const RankUse& rank : step.ranks) busy += rank.busy[static_cast<size_t>(stream)];
  return busy / (step.seconds * static_cast<double>(step.ranks.size()));
}

constexpr StreamKind kStreams[] = {StreamKind::kCompute, StreamKind::kIntra, StreamKind::kInter};

}  // namespace

absl::StatusOr<std::optional<UnlikeRanks>> UnlikeRanksOf(const Arguments& arguments,
                                                         const SimulatedJob& job,
                                                         const std::vector<Straggler>& of_cluster) {
  UnlikeRanks ranks;
  WEFT_RETURN_IF_ERROR(LoadRows(arguments, job, ranks));
  ranks.stragglers = of_cluster;
  if (const std::string text = arguments.value_or("--straggler", ""); !text.empty()) {
    for (const absl::string_view part : absl::StrSplit(text, ';')) {
      WEFT_ASSIGN_OR_RETURN(const Straggler straggler, ParseStraggler({part.data(), part.size()}));
      WEFT_RETURN_IF_ERROR(ValidateStraggler(straggler, job.topology));
      ranks.stragglers.push_back(straggler);
    }
  }
  const std::string traced = arguments.value_or("--trace-ranks", "");
  if (!traced.empty() && arguments.value_or("--trace", "").empty()) {
    return absl::InvalidArgumentError("--trace-ranks needs --trace FILE");
  }
  if (ranks.rows == nullptr && ranks.stragglers.empty() && traced.empty()) return std::nullopt;
  if (!arguments.value_or("--trace", "").empty()) {
    WEFT_ASSIGN_OR_RETURN(ranks.traced_ranks,
                          TracedRanksOf(traced, ranks, job.topology.world_size));
  }
  return ranks;
}

std::string WorldTable(const UnlikeRanks& ranks, const Topology& topology,
                       const std::vector<PolicyWorld>& rows) {
  std::string text =
      absl::StrFormat("%d ranks, %s, %d straggler%s\n", topology.world_size, ranks.load,
                      ranks.stragglers.size(), ranks.stragglers.size() == 1 ? "" : "s");
  absl::StrAppendFormat(&text, "%-16s %12s %12s %7s %8s %6s %6s %6s  %s\n", "policy", "step",
                        "balanced", "ratio", "compute", "intra", "inter", "wait",
                        "slowest rank (holds up)");
  for (const PolicyWorld& row : rows) {
    const WorldStep& step = row.step;
    double waited = 0;
    for (const RankUse& rank : step.ranks) waited += rank.waited;
    absl::StrAppendFormat(
        &text, "%-16s %12s %12s %7.3f %7.1f%% %5.1f%% %5.1f%% %5.1f%%  ", row.policy,
        FormatSeconds(step.seconds), FormatSeconds(row.balanced_seconds),
        step.seconds / row.balanced_seconds, 100 * BusyShare(step, StreamKind::kCompute),
        100 * BusyShare(step, StreamKind::kIntra), 100 * BusyShare(step, StreamKind::kInter),
        100 * waited / (step.seconds * static_cast<double>(step.ranks.size())));
    const int32_t slowest = step.SlowestRank();
    absl::StrAppend(
        &text,
        slowest < 0
            ? "none"
            : absl::StrCat(slowest, " (",
                           FormatSeconds(step.ranks[static_cast<size_t>(slowest)].held_up), ")"),
        "\n");
  }
  return text;
}

nlohmann::json WorldJson(const Topology& topology, const PolicyWorld& row) {
  const WorldStep& step = row.step;
  nlohmann::json json = {{"seconds", step.seconds},
                         {"balanced_seconds", row.balanced_seconds},
                         {"ratio", step.seconds / row.balanced_seconds},
                         {"slowest_rank", nullptr}};
  double waited = 0;
  for (const RankUse& rank : step.ranks) waited += rank.waited;
  json["waiting_share"] = waited / (step.seconds * static_cast<double>(step.ranks.size()));
  for (const StreamKind stream : kStreams) {
    json["busy_share"][std::string(Name(stream))] = BusyShare(step, stream);
  }
  if (const int32_t slowest = step.SlowestRank(); slowest >= 0) {
    const RankUse& use = step.ranks[static_cast<size_t>(slowest)];
    json["slowest_rank"] = {{"rank", slowest},
                            {"node", topology.node_of(RankId{slowest})},
                            {"holds_up_seconds", use.held_up},
                            {"waits_seconds", use.waited}};
    for (const StreamKind stream : kStreams) {
      json["slowest_rank"]["busy_seconds"][std::string(Name(stream))] =
          use.busy[static_cast<size_t>(stream)];
    }
  }
  return json;
}

absl::Status WriteWorldTrace(const std::string& path, const StepGraph& graph, const Plan& plan,
                             const Topology& topology, const UnlikeRanks& ranks,
                             const WorldStep& step) {
  const auto nanos = [](double seconds) { return std::llround(seconds * 1e9); };
  std::unique_ptr<ChromeTrace> trace;
  for (size_t i = 0; i < ranks.traced_ranks.size(); ++i) {
    TraceProcess process;
    process.rank = ranks.traced_ranks[i];
    process.node = topology.node_of(RankId{process.rank});
    process.world_size = topology.world_size;
    process.backend = "simulated";
    if (trace == nullptr) {
      WEFT_ASSIGN_OR_RETURN(trace, ChromeTrace::Open(path, process));
    } else {
      WEFT_RETURN_IF_ERROR(trace->StartProcess(process));
    }
    std::vector<TaskInterval> tasks;
    for (size_t t = 0; t < plan.tasks.size(); ++t) {
      const TracedTask& traced = step.traced[i][t];
      TaskInterval task;
      task.task = static_cast<int32_t>(t);
      task.stream = graph.op(plan.tasks[t].op).stream;
      task.begin_nanos = nanos(traced.issued);
      task.transfer_nanos = nanos(traced.begin);
      task.end_nanos = nanos(traced.end);
      task.size = traced.size;
      tasks.push_back(task);
    }
    WEFT_RETURN_IF_ERROR(trace->AddStep(graph, plan, 0, tasks));
  }
  return trace->Close();
}

}  // namespace weft
