#include <algorithm>
#include <utility>
#include <vector>

#include "scheduler/passes/passes.h"

namespace weft {
namespace {

class ChooseAllToAll final : public PlanPass {
 public:
  explicit ChooseAllToAll(std::vector<AllToAllAlgorithm> known) : known_(std::move(known)) {}

  std::string_view name() const override { return "choose_all_to_all"; }

  void Run(const PlanRequest& request, DraftSimulator& simulator, PlanDraft& draft) const override {
    const StepModel& model = simulator.model();
    if (model.choosers().empty()) return;
    std::vector<AllToAllAlgorithm> candidates;
    for (const AllToAllAlgorithm algorithm : request.all_to_alls) {
      if (std::find(known_.begin(), known_.end(), algorithm) != known_.end())
        candidates.push_back(algorithm);
    }
    const PlanDraft before = draft;
    double best = simulator.Seconds(draft);
    for (const AllToAllAlgorithm algorithm : candidates) {
      PlanDraft candidate = before;
      for (const int32_t layer : model.choosers())
        candidate.all_to_alls[static_cast<size_t>(layer)] = algorithm;
      ChooseDegreesAlone(simulator, candidate);
      const double seconds = simulator.SecondsIfFaster(candidate, best);
      if (!Faster(seconds, best)) continue;
      best = seconds;
      draft = std::move(candidate);
    }
    draft.open.all_to_alls = std::move(candidates);
  }

 private:
  std::vector<AllToAllAlgorithm> known_;
};

}  // namespace

std::unique_ptr<const PlanPass> MakeChooseAllToAll() {
  return std::make_unique<ChooseAllToAll>(
      std::vector<AllToAllAlgorithm>(kAllToAllAlgorithms.begin(), kAllToAllAlgorithms.end()));
}

std::unique_ptr<const PlanPass> MakeChooseTutelAllToAll() {
  return std::make_unique<ChooseAllToAll>(
      std::vector{AllToAllAlgorithm::kDirect, AllToAllAlgorithm::k2DH});
}

}  // namespace weft
