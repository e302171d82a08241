#include "profiler/instances.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "profiler/overlap.h"

namespace weft {
namespace {

using Groups = std::vector<std::vector<RankId>>;

// Every group of a kind once, by its lowest rank.
Groups GroupsOf(const Topology& topology, const Layout& layout, GroupKind kind) {
  Groups groups;
  std::vector<bool> seen(static_cast<size_t>(topology.world_size), false);
  for (int32_t r = 0; r < topology.world_size; ++r) {
    if (seen[static_cast<size_t>(r)]) continue;
    if (kind == GroupKind::kNone) {
      groups.push_back({RankId{r}});
    } else {
      groups.push_back(GroupOf(topology, layout, kind, RankId{r}));
    }
    for (const RankId member : groups.back()) seen[static_cast<size_t>(member.value)] = true;
  }
  return groups;
}

absl::Status CheckShape(const MergeContext& context, const StepSpans& spans) {
  if (spans.by_rank.size() != static_cast<size_t>(context.topology.world_size)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "step ", spans.step, ": spans of ", spans.by_rank.size(), " ranks, expected one trace of ",
        "each of the ", context.topology.world_size, " ranks"));
  }
  for (size_t t = 0; t < context.plan.tasks.size(); ++t) {
    const int32_t op = context.plan.tasks[t].op.value;
    if (op < 0 || static_cast<size_t>(op) >= context.graph.ops.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("plan epoch ", context.plan.epoch, ": task ", t, " names operation ", op,
                       ", the graph has 0 to ", context.graph.ops.size(), " (exclusive)"));
    }
  }
  return absl::OkStatus();
}

// [rank][task]: the span, or null.
using SpanIndex = std::vector<std::vector<const Span*>>;

SpanIndex IndexSpans(const Plan& plan, const StepSpans& spans, MergedStep& merged) {
  SpanIndex index(spans.by_rank.size(), std::vector<const Span*>(plan.tasks.size(), nullptr));
  for (size_t rank = 0; rank < spans.by_rank.size(); ++rank) {
    for (const Span& span : spans.by_rank[rank]) {
      const bool planned = span.step == spans.step && span.epoch == plan.epoch &&
                           span.rank == static_cast<int32_t>(rank) && span.task >= 0 &&
                           static_cast<size_t>(span.task) < plan.tasks.size() &&
                           span.end_nanos >= span.begin_nanos;
      if (planned && index[rank][static_cast<size_t>(span.task)] == nullptr) {
        index[rank][static_cast<size_t>(span.task)] = &span;
      } else {
        ++merged.unplanned_spans;
      }
    }
  }
  return index;
}

// What an instance cost, and the rank and the interval that say so.
struct Measured {
  CostSample sample;
  size_t rank = 0;
  Interval work;
};

// One task on one group: appends its members' intervals and returns what it cost, when that is
// known.
std::optional<Measured> MergeInstance(const Op& op, int32_t task,
                                      const std::vector<RankId>& members, const SpanIndex& index,
                                      MergedStep& merged) {
  std::vector<const Span*> present;
  for (const RankId member : members) {
    const Span* span = index[static_cast<size_t>(member.value)][static_cast<size_t>(task)];
    if (span != nullptr) present.push_back(span);
  }
  merged.missing_spans += static_cast<int64_t>(members.size() - present.size());
  const bool complete = present.size() == members.size();
  if (!complete && members.size() > 1) ++merged.incomplete_collectives;
  if (present.empty()) return std::nullopt;

  const auto length = [](const Span* s) { return s->end_nanos - s->begin_nanos; };
  const Span* last = present.front();  // to arrive
  double size = 0;
  for (const Span* span : present) {
    if (length(span) < length(last)) last = span;
    size = std::max(size, span->size);
  }
  const int64_t shortest = length(last);
  for (const Span* span : present) {
    merged.by_rank[static_cast<size_t>(span->rank)].push_back(
        {task, op.stream, members.size() > 1 ? op.key.link : LinkClass::kNone, span->begin_nanos,
         span->end_nanos - shortest, span->end_nanos, span->size});
  }
  if (!complete || shortest <= 0) return std::nullopt;
  return Measured{{size, static_cast<double>(shortest) * 1e-9},
                  static_cast<size_t>(last->rank),
                  {last->begin_nanos, last->end_nanos}};
}

// When each stream of a rank was at work.
using WorkOfRank = std::array<IntervalSet, kNumStreams>;

WorkOfRank WorkOf(std::span<const TaskInterval> tasks) {
  std::array<std::vector<Interval>, kNumStreams> intervals;
  for (const TaskInterval& t : tasks) {
    intervals[static_cast<size_t>(t.stream)].push_back({t.transfer_nanos, t.end_nanos});
  }
  WorkOfRank work;
  for (size_t s = 0; s < kNumStreams; ++s) work[s] = UnionOf(std::move(intervals[s]));
  return work;
}

// The share of a window that a set covers.
double ShareOf(const IntervalSet& set, const Interval& window) {
  auto next = std::upper_bound(set.begin(), set.end(), window.begin,
                               [](int64_t at, const Interval& i) { return at < i.end; });
  int64_t covered = 0;
  for (; next != set.end() && next->begin < window.end; ++next) {
    covered += std::min(next->end, window.end) - std::max(next->begin, window.begin);
  }
  return static_cast<double>(covered) / static_cast<double>(window.end - window.begin);
}

}  // namespace

absl::StatusOr<MergedStep> MergeStep(const MergeContext& context, const StepSpans& spans) {
  if (absl::Status status = CheckShape(context, spans); !status.ok()) return status;
  MergedStep merged;
  merged.step = spans.step;
  merged.epoch = context.plan.epoch;
  merged.sm_limit = context.plan.sm_limit;
  merged.by_rank.resize(spans.by_rank.size());
  std::vector<Measured> measured;  // by sample
  const SpanIndex index = IndexSpans(context.plan, spans, merged);
  std::map<GroupKind, Groups> groups;
  for (size_t t = 0; t < context.plan.tasks.size(); ++t) {
    const Op& op = context.graph.op(context.plan.tasks[t].op);
    auto found = groups.find(op.key.group);
    if (found == groups.end()) {
      found = groups.emplace(op.key.group, GroupsOf(context.topology, context.layout, op.key.group))
                  .first;
    }
    const auto add = [&](const Measured& m) {
      CostKey key = CalibrationKey(op.key);
      if (key.group != GroupKind::kNone) key.sm_limit = context.plan.sm_limit;
      merged.samples.push_back({key, m.sample, op.stream, {}});
      measured.push_back(m);
    };
    Measured slowest;  // of the ranks of a compute task
    for (const std::vector<RankId>& members : found->second) {
      const std::optional<Measured> instance =
          MergeInstance(op, static_cast<int32_t>(t), members, index, merged);
      if (!instance.has_value()) continue;
      if (op.key.group != GroupKind::kNone) {
        add(*instance);
      } else if (instance->sample.seconds > slowest.sample.seconds) {
        slowest = *instance;
      }
    }
    if (slowest.sample.seconds > 0) add(slowest);
  }
  std::vector<WorkOfRank> work;
  for (const std::vector<TaskInterval>& tasks : merged.by_rank) work.push_back(WorkOf(tasks));
  for (size_t i = 0; i < measured.size(); ++i) {
    KeyedSample& keyed = merged.samples[i];
    for (size_t s = 0; s < kNumStreams; ++s) {
      if (static_cast<StreamKind>(s) == keyed.stream) continue;
      keyed.beside[s] = ShareOf(work[measured[i].rank][s], measured[i].work);
    }
  }
  return merged;
}

}  // namespace weft
