#include "scheduler/policies.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "scheduler/passes/passes.h"

namespace weft {
namespace {

using PassMaker = std::unique_ptr<const PlanPass> (*)();

struct Policy {
  std::string name;
  int32_t streams;
  Service service;
  int64_t gradient_chunk_bytes;  // 0: whole
  std::vector<PassMaker> passes;
};

constexpr int64_t kLinaChunkBytes = 30'000'000;

const std::vector<Policy>& Policies() {
  static const std::vector<Policy> policies = {
      {"sequential", 1, Service::kInOrder, 0, {}},
      {"tutel", 2, Service::kInOrder, 0, {MakeChooseTutelAllToAll, MakeChooseDegrees}},
      {"tutel_improved",
       2,
       Service::kInOrder,
       0,
       {MakeChooseTutelAllToAll, MakeChooseDegrees, MakeGradientsBesideDense}},
      {"lina", 2, Service::kGradientsYield, kLinaChunkBytes, {MakeChooseDegrees}},
      {"fsmoe_no_iio",
       2,
       Service::kInOrder,
       0,
       {MakeChooseDegrees, MakeSliceGradients, MakePartitionRest}},
      {"fsmoe",
       3,
       Service::kInOrder,
       0,
       {MakeChooseDegrees, MakeSliceGradients, MakePartitionRest}},
      {"flowmoe",
       2,
       Service::kGradientsYield,
       0,
       {MakeChooseDegrees, MakePipelineBlocks, MakeChunkGradients}},
      {"weft",
       3,
       Service::kInOrder,
       0,
       {MakeChooseAllToAll, MakeChooseDegrees, MakeReadyFirst, MakeDelayWgrad, MakeSliceGradients,
        MakePartitionRest, MakeServeByPriority, MakeBestOfPolicies, MakeRefine, MakeImproveSmall}},
  };
  return policies;
}

const Policy& Find(std::string_view name) {
  return *std::find_if(Policies().begin(), Policies().end(),
                       [&](const Policy& policy) { return policy.name == name; });
}

absl::string_view View(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

absl::Status CheckPasses(const std::vector<std::string>& names) {
  const std::vector<std::string>& known = PassNames();
  for (const std::string& name : names) {
    if (std::binary_search(known.begin(), known.end(), name)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "pass '", name, "' is not known; the passes are ", absl::StrJoin(known, ", ")));
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<std::string>& PolicyNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> result;
    for (const Policy& policy : Policies()) result.push_back(policy.name);
    return result;
  }();
  return names;
}

const std::vector<std::string>& PassNames() {
  static const std::vector<std::string> names = [] {
    std::set<std::string> result;
    for (const Policy& policy : Policies()) {
      for (const PassMaker make : policy.passes) result.emplace(make()->name());
    }
    return std::vector<std::string>(result.begin(), result.end());
  }();
  return names;
}

absl::Status CheckPolicy(std::string_view policy) {
  const std::vector<std::string>& names = PolicyNames();
  if (std::find(names.begin(), names.end(), policy) != names.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("policy '", View(policy), "' is not known; use ", absl::StrJoin(names, ", ")));
}

PlanDraft StartOf(std::string_view policy, const StepModel& model) {
  const Policy& chosen = Find(policy);
  PlanDraft draft = MakeDraft(model);
  draft.streams = chosen.streams;
  draft.service = chosen.service;
  if (chosen.gradient_chunk_bytes > 0) draft.slices = SlicesOf(model, chosen.gradient_chunk_bytes);
  return draft;
}

absl::StatusOr<PlanPasses> MakePasses(std::string_view policy,
                                      const std::vector<std::string>& disabled) {
  WEFT_RETURN_IF_ERROR(CheckPolicy(policy));
  WEFT_RETURN_IF_ERROR(CheckPasses(disabled));
  PlanPasses passes;
  for (const PassMaker make : Find(policy).passes) {
    std::unique_ptr<const PlanPass> pass = make();
    const bool left_out =
        std::find(disabled.begin(), disabled.end(), pass->name()) != disabled.end();
    if (!left_out) passes.push_back(std::move(pass));
  }
  return passes;
}

}  // namespace weft
