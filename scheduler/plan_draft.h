#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"
#include "graph/plan.h"
#include "scheduler/ready_order.h"
#include "scheduler/step_model.h"

// What the passes decide, before it is a Plan: degrees, service order, slices. A draft plus a
// StepModel gives an issue order (issue_order.h), an issue order gives a makespan; passes change a
// draft and keep the change when the makespan falls.

namespace weft {

// One slice of a gradient chain: its operation on the inter-node stream is issued just before the
// first piece of `before`, an operation of the inter-node stream; at the end of the step when
// `before` is invalid. Under a service other than kInOrder a slice is issued when its gradient is
// there, and `before` says nothing.
struct DraftSlice {
  int64_t begin = 0;
  int64_t end = 0;
  OpId before;
  friend bool operator==(const DraftSlice&, const DraftSlice&) = default;
};

// How the streams serve what could run.
enum class Service : uint8_t {
  kInOrder,         // as issued; the intra-node stream by IntraRule
  kGradientsYield,  // in the order of issue among what is ready, gradients when nothing else is
  kCriticalPath,    // what has the longest way to the end first (ServedSecondsToTheEnd)
  kCriticalGaps,    // the same, each task where it first fits: a stream may wait for one that is
                    // about to be ready (OrderInGaps)
  kChainGaps,       // the same by the longest chain of needs alone (SecondsToTheEnd)
  kGiven,           // as PlanDraft::order says
};

struct SlotDraft {
  int32_t degree = 1;
  bool ready_first =
      false;  // gathers and scatters may be served in another order than all gathers first
  bool delay_wgrad = false;  // dW waits for the dispatch of the next pipeline
  bool cut_block = false;    // attention, gate and the like are cut, too; REQUIRES: a list service
};

// What passes that ran have opened for those that refine.
struct OpenDecisions {
  bool degrees = false;
  bool order = false;
  bool wgrad = false;
  bool slices = false;
  bool chunks = false;  // of gradients, under a list service
  bool blocks = false;
  bool service = false;
  std::vector<AllToAllAlgorithm> all_to_alls;  // the candidates; none: not open
};

struct PlanDraft {
  int32_t streams = kNumStreams;  // Plan::streams
  Service service = Service::kInOrder;
  IntraRule rule = IntraRule::kIssueOrder;  // kInOrder with three streams
  bool early_scatter = false;               // intra-node steps of a gradient start when it is there
  std::vector<SlotDraft> slots;             // by StepModel::slots()
  std::vector<std::vector<DraftSlice>> slices;  // by StepModel::chains(), ascending
  std::vector<AllToAllAlgorithm> all_to_alls;   // by layer; says nothing where there is no choice
  // kGiven: the tasks, by where this draft issues them with no order given. Holds for the rest of
  // the draft as it is.
  std::vector<int32_t> order;
  OpenDecisions open;

  // The all-to-all algorithm of a slot's layer.
  AllToAllAlgorithm algorithm(const DegreeSlot& slot) const {
    return all_to_alls[static_cast<size_t>(slot.layer)];
  }
};

// Degree 1 everywhere, dW right behind the experts, every gradient in one piece at the end.
PlanDraft MakeDraft(const StepModel& model);

// Slices end at multiples of it: whole cache lines for every rank of a node.
inline constexpr int64_t kSliceBoundary = 256;  // elements

// Chains cut into slices of at most `bytes` each (fp32), whole cache lines.
std::vector<std::vector<DraftSlice>> SlicesOf(const StepModel& model, int64_t bytes);

// Every chain in two slices, the first one about `share` of it, in whole cache lines. REQUIRES:
// 0 <= share < 1.
std::vector<std::vector<DraftSlice>> SlicesInTwo(const StepModel& model, double share);

}  // namespace weft
