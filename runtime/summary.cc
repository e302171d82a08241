#include "runtime/summary.h"

#include <nlohmann/json.hpp>

namespace weft {
namespace {

nlohmann::ordered_json Comparison(const std::vector<ComparedPolicy>& policies) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ComparedPolicy& p : policies) {
    nlohmann::ordered_json busy;
    for (size_t stream = 0; stream < kNumStreams; ++stream) {
      busy[std::string(Name(static_cast<StreamKind>(stream)))] = p.busy_seconds[stream];
    }
    list.push_back({{"policy", p.policy},
                    {"step_seconds", p.step_seconds},
                    {"predicted_step_seconds", p.predicted_step_seconds},
                    {"bound_seconds", p.bound_seconds()},
                    {"order_bound_seconds", p.order_bound_seconds},
                    {"busy_seconds", busy},
                    {"speedup", p.speedup},
                    {"speedup_low", p.speedup_low},
                    {"speedup_high", p.speedup_high},
                    {"rounds", p.rounds}});
  }
  return list;
}

nlohmann::ordered_json Workloads(const std::vector<ComparedWorkload>& workloads) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ComparedWorkload& w : workloads) {
    list.push_back({{"workload", std::string(Name(w.workload))},
                    {"step_seconds", w.step_seconds},
                    {"slowdown", w.slowdown},
                    {"slowdown_low", w.slowdown_low},
                    {"slowdown_high", w.slowdown_high},
                    {"fullest_rank", w.fullest_rank},
                    {"rounds", w.rounds}});
  }
  return list;
}

nlohmann::ordered_json Switches(const std::vector<PlanSwitch>& switches) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const PlanSwitch& s : switches) {
    list.push_back({{"plan_epoch", s.epoch},
                    {"predicted_gain_seconds", s.predicted_gain},
                    {"measured_gain_seconds", s.gain()},
                    {"noise_seconds", s.noise_seconds},
                    {"before_seconds", s.before_seconds},
                    {"after_seconds", s.after_seconds},
                    {"undone", s.undone}});
  }
  return list;
}

nlohmann::ordered_json ByLoad(const std::vector<PlanMemory::Entry>& entries) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const PlanMemory::Entry& entry : entries) {
    list.push_back({{"busiest_rank_from", PlanMemory::BeginOf(entry.bucket)},
                    {"busiest_rank_to", PlanMemory::BeginOf(entry.bucket + 1)},
                    {"plan_epoch", entry.epoch},
                    {"steps", entry.steps},
                    {"step_seconds", entry.seconds}});
  }
  return list;
}

nlohmann::ordered_json Considered(const std::vector<ConsideredPlan>& rows) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ConsideredPlan& row : rows) {
    nlohmann::ordered_json& line = list.emplace_back();
    line = {{"experts", row.experts},
            {"all_to_all", row.all_to_all},
            {"degrees", row.degrees},
            {"policy", row.policy},
            {"predicted_seconds", row.predicted_seconds},
            {"predicted_p90_seconds", nullptr},
            {"measured_seconds", nullptr},
            {"runs", row.runs}};
    if (row.predicted_p90_seconds.has_value())
      line["predicted_p90_seconds"] = *row.predicted_p90_seconds;
    if (!row.measured.has_value()) continue;
    line["measured_seconds"] = row.measured->seconds;
    line["measured_steps"] = row.measured->steps;
    line["busiest_rank_from"] = PlanMemory::BeginOf(row.measured->bucket);
    line["busiest_rank_to"] = PlanMemory::BeginOf(row.measured->bucket + 1);
  }
  return list;
}

}  // namespace

std::string SummaryToJson(const JobSummary& s) {
  nlohmann::ordered_json json;
  json["val_bits_per_byte"] = s.val_bits_per_byte;
  json["unigram_bits_per_byte"] = s.unigram_bits_per_byte;
  json["bigram_bits_per_byte"] = s.bigram_bits_per_byte;
  json["steps"] = s.steps;
  json["tokens_per_second"] = s.tokens_per_second;
  json["predicted_step_seconds"] = s.predicted_step_seconds;
  json["measured_step_seconds"] = s.measured_step_seconds;
  json["overlap_fraction"] = s.overlap_fraction;
  json["hidden_communication_seconds"] = s.hidden_communication_seconds;
  json["exposed_communication_seconds"] = s.exposed_communication_seconds;
  json["comparison"] = Comparison(s.comparison);
  if (!s.workload.empty())
    json.update({{"workload", s.workload}, {"workloads", Workloads(s.workloads)}});
  json["plan_epoch"] = s.plan_epoch;
  json["plan_switches"] = Switches(s.plan_switches);
  json["plans_by_load"] = ByLoad(s.plans_by_load);
  json["plans_considered"] = Considered(s.considered);
  json["world_size"] = s.world_size;
  json["workspace_growths"] = s.workspace_growths;
  json["stopped"] = s.stopped;
  json["exit_code"] = s.exit_code;
  return json.dump(2) + "\n";
}

}  // namespace weft
