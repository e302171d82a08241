#include "runtime/summary.h"

#include <nlohmann/json.hpp>

namespace weft {

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
  json["sequential_step_seconds"] = s.sequential_step_seconds;
  json["compared_step_seconds"] = s.compared_step_seconds;
  json["speedup_over_sequential"] = s.speedup_over_sequential;
  json["speedup_low"] = s.speedup_low;
  json["speedup_high"] = s.speedup_high;
  json["plan_epoch"] = s.plan_epoch;
  json["world_size"] = s.world_size;
  json["workspace_growths"] = s.workspace_growths;
  json["stopped"] = s.stopped;
  json["exit_code"] = s.exit_code;
  return json.dump(2) + "\n";
}

}  // namespace weft
