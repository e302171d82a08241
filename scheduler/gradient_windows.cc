#include "scheduler/gradient_windows.h"

#include <algorithm>
#include <numeric>

#include "scheduler/issue_order.h"

namespace weft {
namespace {

// Whether an operation belongs to a pipeline but does not begin it.
bool InsidePipeline(const StepModel& model, OpId op) {
  const int32_t pipeline = model.PipelineOf(op);
  return pipeline >= 0 && model.pipelines()[static_cast<size_t>(pipeline)].stages.front() != op;
}

std::vector<Window> FindWindows(const StepModel& model, const IssueOrder& order,
                                const std::vector<double>& begin,
                                const std::vector<double>& end_of) {
  std::vector<Window> windows;
  OpId op;  // the first of the current group
  int32_t group = -1;
  double busy_until = 0;  // of the group before
  double end = 0;         // of the current group, and the sum of its tasks
  double sum = 0;
  const auto close = [&] {
    if (op.valid()) {
      if (end - sum > busy_until) {
        windows.push_back(Window{op, busy_until, end - sum, InsidePipeline(model, op)});
      }
      busy_until = end;
    }
    sum = 0;
  };
  for (size_t i = 0; i < order.tasks.size(); ++i) {
    const int32_t task = static_cast<int32_t>(i);
    if (order.schedule.stream(task) != StreamKind::kInter) continue;
    if (order.group[i] != group) {
      close();
      group = order.group[i];
      op = order.tasks[i].op;
    }
    end = end_of[i];
    sum += end - begin[i];
  }
  close();
  return windows;
}

// Gradients with a step on the inter-node stream, by the moment they are there.
std::vector<PendingGradient> FindPending(const StepModel& model, const IssueOrder& order,
                                         const std::vector<double>& end) {
  std::vector<double> done(model.graph().ops.size(), 0);  // by operation
  for (size_t i = 0; i < order.tasks.size(); ++i) {
    double& last = done[static_cast<size_t>(order.tasks[i].op.value)];
    last = std::max(last, end[i]);
  }
  std::vector<PendingGradient> pending;
  for (size_t c = 0; c < model.chains().size(); ++c) {
    if (model.chains()[c].inter_op < 0 || model.chains()[c].gathers) continue;
    PendingGradient gradient;
    gradient.chain = c;
    for (const OpId need : model.chains()[c].needs) {
      gradient.ready = std::max(gradient.ready, done[static_cast<size_t>(need.value)]);
    }
    pending.push_back(gradient);
  }
  std::stable_sort(
      pending.begin(), pending.end(),
      [](const PendingGradient& a, const PendingGradient& b) { return a.ready < b.ready; });
  return pending;
}

// When a slice of n elements ends if the stream of inter-node communication is free for it from
// `cursor` on. With less than three streams its steps inside the node run there, too.
double SliceEnd(const StepModel& model, int32_t streams, const PendingGradient& gradient,
                double cursor, int64_t n) {
  const GradientChain& chain = model.chains()[gradient.chain];
  double inside = 0;
  for (int32_t k = 0; k < chain.inter_op; ++k) {
    inside += model.SliceSeconds(chain.ops[static_cast<size_t>(k)], n);
  }
  const OpId inter = chain.ops[static_cast<size_t>(chain.inter_op)];
  const double begin = streams < kNumStreams ? std::max(cursor, gradient.ready) + inside
                                             : std::max(cursor, gradient.ready + inside);
  return begin + model.SliceSeconds(inter, n);
}

// The most elements, at most `limit`, that end by `until`; 0 when none do.
int64_t MostElements(const StepModel& model, int32_t streams, const PendingGradient& gradient,
                     double cursor, double until, int64_t limit) {
  if (SliceEnd(model, streams, gradient, cursor, limit) <= until) return limit;
  int64_t fits = 0;
  int64_t too_many = limit;
  while (too_many - fits > 1) {
    const int64_t middle = std::midpoint(fits, too_many);
    (SliceEnd(model, streams, gradient, cursor, middle) <= until ? fits : too_many) = middle;
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

}  // namespace

GradientWindows FindGradientWindows(const StepModel& model, const PlanDraft& draft) {
  const IssueOrder order = MakeIssueOrder(model, draft, Gradients::kLeftOut);
  std::vector<double> begin;
  std::vector<double> end;
  RunSchedule(order.schedule, begin, end);
  return {FindWindows(model, order, begin, end), FindPending(model, order, end)};
}

std::vector<std::vector<DraftSlice>> FillWindows(const StepModel& model, const PlanDraft& draft) {
  auto [windows, pending] = FindGradientWindows(model, draft);
  std::vector<std::vector<DraftSlice>> slices(model.chains().size());
  for (const Window& window : windows) {
    double cursor = window.begin;
    for (PendingGradient& gradient : pending) {
      const GradientChain& chain = model.chains()[gradient.chain];
      const int64_t left = chain.elements - gradient.done;
      if (left == 0) continue;
      if (std::max(cursor, gradient.ready) >= window.end) break;
      int64_t n = MostElements(model, draft.streams, gradient, cursor, window.end, left);
      if (n < left) {
        n = (gradient.done + n) / kSliceBoundary * kSliceBoundary - gradient.done;
        if (n <= 0 || !WorthAnotherSlice(model, chain, n)) continue;
      }
      cursor = SliceEnd(model, draft.streams, gradient, cursor, n);
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

}  // namespace weft
