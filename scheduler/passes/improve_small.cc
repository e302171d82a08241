#include <algorithm>
#include <utility>
#include <vector>

#include "scheduler/lower_bound.h"
#include "scheduler/optimal_order.h"
#include "scheduler/passes/passes.h"

namespace weft {
namespace {

// A layer's share, so that planning time grows as layers do: tasks of all choices that are looked
// at, and branches of the searches for orders.
constexpr int64_t kTasksOfLayer = 8'000;
constexpr int64_t kNodesOfLayer = 3'000;
// Branches of the search for one order.
constexpr int64_t kMostNodesOfOrder = 2'000;
// Less is not worth another plan.
constexpr double kGain = 1e-4;

using Slices = std::vector<std::vector<DraftSlice>>;

class Search {
 public:
  Search(DraftSimulator& simulator, PlanDraft& best)
      : simulator_(simulator),
        model_(simulator.model()),
        best_(best),
        seconds_(simulator.Seconds(best)),
        layers_(std::max<int64_t>(1, static_cast<int64_t>(model_.slots().size()) / 2)) {}

  void Run() {
    PlanDraft start = best_;
    start.streams = kNumStreams;
    start.service = Service::kGiven;
    start.order.clear();
    if (!Try(start) && tasks_left_ == kTasksOfLayer * layers_) return;  // too many tasks
    std::vector<Slices> slicings;
    if (best_.open.slices) {
      slicings = {MakeDraft(model_).slices, SlicesInTwo(model_, 0.5), SlicesInTwo(model_, 0.25),
                  SlicesInTwo(model_, 0.75)};
    }
    for (bool improved = true; improved && !over();) {
      improved = false;
      start.slots = best_.slots;
      start.slices = best_.slices;
      improved |= TryChoices(start);
      for (const Slices& slices : slicings) {
        start.slices = slices;
        improved |= Try(start);
        improved |= TryChoices(start);
      }
    }
  }

 private:
  // With these slices: another choice for one layer and direction, then one for all forward and
  // one for all backward pipelines.
  bool TryChoices(const PlanDraft& start) {
    bool improved = false;
    if (start.slots.empty() || !best_.open.degrees) return false;
    for (size_t slot = 0; slot < start.slots.size(); ++slot) {
      for (const SlotDraft& other : Others(slot)) {
        PlanDraft candidate = start;
        candidate.slots[slot] = other;
        improved |= Try(std::move(candidate));
      }
    }
    for (const SlotDraft& forward : Others(0)) {
      for (const SlotDraft& backward : Others(0)) {
        PlanDraft candidate = start;
        for (size_t slot = 0; slot < start.slots.size(); ++slot) {
          const DegreeSlot& of = model_.slots()[slot];
          SlotDraft& choice = candidate.slots[slot];
          choice = of.direction == Direction::kForward ? forward : backward;
          choice.cut_block = choice.cut_block && of.has_block;
        }
        improved |= Try(std::move(candidate));
      }
    }
    return improved;
  }

  std::vector<SlotDraft> Others(size_t slot) const {
    std::vector<SlotDraft> others;
    for (const int32_t degree : model_.degrees()) {
      for (const bool cut : {false, true}) {
        const bool can_cut = best_.open.blocks && model_.slots()[slot].has_block && degree > 1 &&
                             degree <= model_.graph().block_pieces;
        if (cut && !can_cut) continue;
        others.push_back({degree, true, false, cut});
      }
    }
    return others;
  }

  bool over() const { return tasks_left_ <= 0 || orders_.nodes() > kNodesOfLayer * layers_; }

  // Whether the draft's tasks have an order that is better than all before. It is the best of tasks
  // alone; contention is counted before it is taken.
  bool Try(PlanDraft draft) {
    if (over()) return false;
    const Schedule& schedule = simulator_.Issued(draft);
    if (schedule.size() > OptimalOrder::kMostTasks) return false;
    tasks_left_ -= schedule.size();
    const double below = seconds_ * (1 - kGain);
    if (QuickLowerBound(schedule) >= below || LowerBound(schedule) >= below) return false;
    std::vector<int32_t> order;
    if (orders_.Seconds(schedule, below, &order) >= below) return false;
    draft.order = std::move(order);
    const double seconds = simulator_.Seconds(draft);
    if (seconds >= below) return false;
    seconds_ = seconds;
    best_ = std::move(draft);
    return true;
  }

  DraftSimulator& simulator_;
  const StepModel& model_;
  PlanDraft& best_;
  double seconds_;
  int64_t layers_;  // with experts; one at least
  int64_t tasks_left_ = kTasksOfLayer * layers_;
  OptimalOrder orders_{kMostNodesOfOrder};
};

class ImproveSmall final : public PlanPass {
 public:
  std::string_view name() const override { return "improve_small"; }

  void Run(const PlanRequest&, DraftSimulator& simulator, PlanDraft& draft) const override {
    Search(simulator, draft).Run();
  }
};

}  // namespace

std::unique_ptr<const PlanPass> MakeImproveSmall() { return std::make_unique<ImproveSmall>(); }

}  // namespace weft
