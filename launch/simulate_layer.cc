#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "launch/simulate_modes.h"
#include "scheduler/closed_forms.h"
#include "scheduler/layer.h"

namespace weft {
namespace {

constexpr int32_t kMaxDegree = 4096;

struct LayerQuestion {
  int32_t r = 1;
  LayerTimes times;
};

absl::StatusOr<LayerQuestion> ParseLayer(const std::string& text) {
  LayerQuestion question;
  std::map<std::string, double*> fields = {{"a", &question.times.a},
                                           {"g", &question.times.g},
                                           {"e", &question.times.e},
                                           {"s", &question.times.s},
                                           {"gar", &question.times.gamma}};
  std::map<std::string, bool> given;
  for (const std::string& part : std::vector<std::string>(absl::StrSplit(text, ','))) {
    const std::vector<std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    const bool degree = pair[0] == "r";
    if ((!degree && !fields.contains(pair[0])) || pair.size() != 2 || given[pair[0]]) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--layer '", text, "': expected r, a, g, e, s and gar once each, as in r=4,a=1.4"));
    }
    given[pair[0]] = true;
    double value = 0;
    const bool read = absl::SimpleAtod(pair[1], &value);
    if (degree) {
      if (!absl::SimpleAtoi(pair[1], &question.r) || question.r < 1 || question.r > kMaxDegree) {
        return absl::InvalidArgumentError(
            absl::StrCat("--layer: r must be a whole number from 1 to ", kMaxDegree));
      }
    } else if (!read || !(value >= 0 && value < 1e15)) {
      return absl::InvalidArgumentError(
          absl::StrCat("--layer: ", pair[0], " must be a time of at least 0, not '", pair[1], "'"));
    } else {
      *fields[pair[0]] = value;
    }
  }
  if (!given["r"])
    return absl::InvalidArgumentError("--layer: r, the number of chunks, is missing");
  return question;
}

// Where policies put the gradient: `gamma` inside the layer, or all of it after.
struct LayerPolicy {
  std::vector<LayerOrder> orders;  // the fastest one counts
  bool gradient_inside = false;
};

const std::map<std::string, LayerPolicy>& LayerPolicies() {
  static const std::map<std::string, LayerPolicy> policies = {
      {"sequential", {{LayerOrder::kSequential}, false}},
      {"tutel", {{LayerOrder::kOneCommunicationStream}, false}},
      {"fsmoe_no_iio", {{LayerOrder::kOneCommunicationStream}, true}},
      {"fsmoe", {{LayerOrder::kGathersFirst}, true}},
      {"weft",
       {{LayerOrder::kGathersFirst, LayerOrder::kReadyFirst, LayerOrder::kOneCommunicationStream},
        true}}};
  return policies;
}

}  // namespace

absl::StatusOr<std::string> SimulateOneLayer(const Arguments& arguments) {
  WEFT_ASSIGN_OR_RETURN(const LayerQuestion question,
                        ParseLayer(arguments.value_or("--layer", "")));
  const std::string name = arguments.value_or("--order", "weft");
  const auto policy = LayerPolicies().find(name);
  if (policy == LayerPolicies().end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--order '", name, "' is not known; use ",
        absl::StrJoin(LayerPolicies(), ", ",
                      [](std::string* out, const auto& entry) { *out += entry.first; })));
  }
  const std::vector<Stage> stages = StagesOf(question.times);
  double makespan = 0;
  for (const LayerOrder order : policy->second.orders) {
    const bool inside = policy->second.gradient_inside;
    const double seconds =
        SimulateLayer(stages, inside ? question.times.gamma : 0, question.r, order).seconds +
        (inside ? 0 : question.times.gamma);
    if (makespan == 0 || seconds < makespan) makespan = seconds;
  }
  if (arguments.has("--json")) {
    return absl::StrCat(nlohmann::json{{"makespan", makespan}, {"order", name}}.dump(), "\n");
  }
  return absl::StrCat(makespan, "\n");
}

}  // namespace weft
