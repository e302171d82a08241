#include <algorithm>
#include <numeric>

#include "scheduler/passes/passes.h"

namespace weft {
namespace {

constexpr int64_t kBoundary =
    256;  // slices end at multiples of it: whole cache lines for every rank of a node

struct Window {
  OpId before;
  double begin = 0;
  double end = 0;  // a slice that ends by then delays nothing
};

struct Pending {
  size_t chain = 0;
  double ready = 0;
  int64_t done = 0;  // elements placed
};

// Where the inter-node stream is idle when there are no gradients. Before an operation in chunks
// the window reaches as far as the operation can be put off without ending later: its chunks close
// up (t_olp,moe = T - 2ra).
std::vector<Window> FindWindows(const IssueOrder& order, const std::vector<double>& begin) {
  std::vector<Window> windows;
  OpId op;
  double busy_until = 0;  // of the operation before
  double end = 0;         // of the current operation, and the sum of its chunks
  double sum = 0;
  const auto close = [&] {
    if (op.valid()) {
      if (end - sum > busy_until) windows.push_back(Window{op, busy_until, end - sum});
      busy_until = end;
    }
    sum = 0;
  };
  for (size_t i = 0; i < order.tasks.size(); ++i) {
    const int32_t task = static_cast<int32_t>(i);
    if (order.schedule.stream(task) != StreamKind::kInter) continue;
    if (order.tasks[i].op != op) {
      close();
      op = order.tasks[i].op;
    }
    end = begin[i] + order.schedule.seconds(task);
    sum += order.schedule.seconds(task);
  }
  close();
  return windows;
}

// Gradients with a step on the inter-node stream, by the moment they are there.
std::vector<Pending> FindPending(const StepModel& model, const IssueOrder& order,
                                 const std::vector<double>& begin) {
  std::vector<double> end_of(model.graph().ops.size(), 0);
  for (size_t i = 0; i < order.tasks.size(); ++i) {
    double& end = end_of[static_cast<size_t>(order.tasks[i].op.value)];
    end = std::max(end, begin[i] + order.schedule.seconds(static_cast<int32_t>(i)));
  }
  std::vector<Pending> pending;
  for (size_t c = 0; c < model.chains().size(); ++c) {
    if (model.chains()[c].inter_op < 0) continue;
    Pending gradient;
    gradient.chain = c;
    for (const OpId need : model.chains()[c].needs) {
      gradient.ready = std::max(gradient.ready, end_of[static_cast<size_t>(need.value)]);
    }
    pending.push_back(gradient);
  }
  std::stable_sort(pending.begin(), pending.end(),
                   [](const Pending& a, const Pending& b) { return a.ready < b.ready; });
  return pending;
}

// When a slice of n elements ends if the inter-node stream is free for it from `cursor` on.
double SliceEnd(const StepModel& model, const Pending& gradient, double cursor, int64_t n) {
  const GradientChain& chain = model.chains()[gradient.chain];
  double ready = gradient.ready;
  for (int32_t k = 0; k < chain.inter_op; ++k) {
    ready += model.SliceSeconds(chain.ops[static_cast<size_t>(k)], n);
  }
  const OpId inter = chain.ops[static_cast<size_t>(chain.inter_op)];
  return std::max(cursor, ready) + model.SliceSeconds(inter, n);
}

// The most elements, at most `limit`, that end by `until`; 0 when none do.
int64_t MostElements(const StepModel& model, const Pending& gradient, double cursor, double until,
                     int64_t limit) {
  if (SliceEnd(model, gradient, cursor, limit) <= until) return limit;
  int64_t fits = 0;
  int64_t too_many = limit;
  while (too_many - fits > 1) {
    const int64_t middle = std::midpoint(fits, too_many);
    (SliceEnd(model, gradient, cursor, middle) <= until ? fits : too_many) = middle;
  }
  return fits;
}

// Whether one more slice, of n elements, hides more inter-node time than another start of every
// step costs.
bool WorthAnotherSlice(const StepModel& model, const GradientChain& chain, int64_t n) {
  double starts = 0;
  for (const OpId op : chain.ops) starts += model.SliceSeconds(op, 0);
  const OpId inter = chain.ops[static_cast<size_t>(chain.inter_op)];
  return model.SliceSeconds(inter, n) - model.SliceSeconds(inter, 0) > starts;
}

class SliceGradients final : public PlanPass {
 public:
  std::string_view name() const override { return "slice_gradients"; }

  void Run(const PlanRequest&, const StepModel& model, PlanDraft& draft) const override {
    draft.slices_open = true;
    ChooseSlices(model, draft);
  }
};

}  // namespace

std::vector<std::vector<DraftSlice>> FillWindows(const StepModel& model, const PlanDraft& draft) {
  const IssueOrder order = MakeIssueOrder(model, draft, Gradients::kLeftOut);
  std::vector<double> begin;
  RunSchedule(order.schedule, begin);
  std::vector<Pending> pending = FindPending(model, order, begin);
  std::vector<std::vector<DraftSlice>> slices(model.chains().size());
  for (const Window& window : FindWindows(order, begin)) {
    double cursor = window.begin;
    for (Pending& gradient : pending) {
      const GradientChain& chain = model.chains()[gradient.chain];
      const int64_t left = chain.elements - gradient.done;
      if (left == 0) continue;
      if (std::max(cursor, gradient.ready) >= window.end) break;
      int64_t n = MostElements(model, gradient, cursor, window.end, left);
      if (n < left) {
        n = (gradient.done + n) / kBoundary * kBoundary - gradient.done;
        if (n <= 0 || !WorthAnotherSlice(model, chain, n)) continue;
      }
      cursor = SliceEnd(model, gradient, cursor, n);
      slices[gradient.chain].push_back(DraftSlice{gradient.done, gradient.done + n, window.before});
      gradient.done += n;
    }
  }
  for (size_t c = 0; c < slices.size(); ++c) {
    const int64_t placed = slices[c].empty() ? 0 : slices[c].back().end;
    const int64_t elements = model.chains()[c].elements;
    if (placed < elements) slices[c].push_back(DraftSlice{placed, elements, OpId{}});
  }
  return slices;
}

double ChooseSlices(const StepModel& model, PlanDraft& draft) {
  double best = SecondsOf(model, draft);
  const auto consider = [&](const PlanDraft& candidate) {
    const double seconds = SecondsOf(model, candidate);
    if (!Faster(seconds, best)) return;
    best = seconds;
    draft = candidate;
  };
  const PlanDraft before = draft;
  const std::vector<std::vector<DraftSlice>> whole = MakeDraft(model).slices;
  for (const IntraRule rule : kIntraRules) {
    if (rule != before.rule && !before.order_open) continue;
    PlanDraft candidate = before;
    candidate.rule = rule;
    const std::vector<std::vector<DraftSlice>> filled = FillWindows(model, candidate);
    for (const auto* slices : {&whole, &filled}) {
      for (const bool early : {false, true}) {
        candidate.slices = *slices;
        candidate.early_scatter = early;
        consider(candidate);
      }
    }
  }
  return best;
}

std::unique_ptr<const PlanPass> MakeSliceGradients() { return std::make_unique<SliceGradients>(); }

}  // namespace weft
