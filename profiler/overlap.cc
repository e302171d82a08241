#include "profiler/overlap.h"

#include <algorithm>
#include <limits>

namespace weft {
namespace {

double Seconds(int64_t nanos) { return static_cast<double>(nanos) * 1e-9; }

}  // namespace

IntervalSet UnionOf(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end(),
            [](const Interval& a, const Interval& b) { return a.begin < b.begin; });
  IntervalSet set;
  for (const Interval& next : intervals) {
    if (next.end <= next.begin) continue;
    if (!set.empty() && next.begin <= set.back().end) {
      set.back().end = std::max(set.back().end, next.end);
    } else {
      set.push_back(next);
    }
  }
  return set;
}

IntervalSet IntersectionOf(const IntervalSet& a, const IntervalSet& b) {
  IntervalSet both;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const Interval shared{std::max(a[i].begin, b[j].begin), std::min(a[i].end, b[j].end)};
    if (shared.begin < shared.end) both.push_back(shared);
    if (a[i].end < b[j].end) {
      ++i;
    } else {
      ++j;
    }
  }
  return both;
}

int64_t LengthOf(const IntervalSet& set) {
  int64_t sum = 0;
  for (const Interval& i : set) sum += i.end - i.begin;
  return sum;
}

StepOverlap OverlapOf(std::span<const TaskInterval> tasks) {
  StepOverlap overlap;
  if (tasks.empty()) return overlap;
  std::vector<Interval> compute, transfers, inter;
  std::array<std::vector<Interval>, kNumStreams> busy, waiting;
  int64_t first = std::numeric_limits<int64_t>::max();
  int64_t last = std::numeric_limits<int64_t>::min();
  for (const TaskInterval& t : tasks) {
    first = std::min(first, t.begin_nanos);
    last = std::max(last, t.end_nanos);
    const auto stream = static_cast<size_t>(t.stream);
    busy[stream].push_back({t.begin_nanos, t.end_nanos});
    waiting[stream].push_back({t.begin_nanos, t.transfer_nanos});
    const Interval work{t.transfer_nanos, t.end_nanos};
    if (t.link != LinkClass::kNone) {
      transfers.push_back(work);
      if (t.link == LinkClass::kInterNode) inter.push_back(work);
    } else if (t.stream == StreamKind::kCompute) {
      compute.push_back(work);
    }
  }
  const IntervalSet computing = UnionOf(std::move(compute));
  const IntervalSet transferring = UnionOf(std::move(transfers));
  const IntervalSet between_nodes = UnionOf(std::move(inter));
  const int64_t hidden = LengthOf(IntersectionOf(transferring, computing));
  overlap.step = Seconds(last - first);
  overlap.compute = Seconds(LengthOf(computing));
  overlap.idle_compute = Seconds(last - first - LengthOf(computing));
  overlap.hidden = Seconds(hidden);
  overlap.exposed = Seconds(LengthOf(transferring) - hidden);
  overlap.inter_transfer = Seconds(LengthOf(between_nodes));
  overlap.inter_transfer_hidden = Seconds(LengthOf(IntersectionOf(between_nodes, computing)));
  for (size_t s = 0; s < kNumStreams; ++s) {
    overlap.busy[s] = Seconds(LengthOf(UnionOf(std::move(busy[s]))));
    overlap.wait[s] = Seconds(LengthOf(UnionOf(std::move(waiting[s]))));
  }
  return overlap;
}

StepOverlap MeanOverlap(std::span<const StepOverlap> overlaps) {
  StepOverlap mean;
  const double share = overlaps.empty() ? 0 : 1.0 / static_cast<double>(overlaps.size());
  for (const StepOverlap& o : overlaps) {
    mean.step += share * o.step;
    mean.compute += share * o.compute;
    mean.idle_compute += share * o.idle_compute;
    mean.hidden += share * o.hidden;
    mean.exposed += share * o.exposed;
    mean.inter_transfer += share * o.inter_transfer;
    mean.inter_transfer_hidden += share * o.inter_transfer_hidden;
    for (size_t s = 0; s < kNumStreams; ++s) {
      mean.busy[s] += share * o.busy[s];
      mean.wait[s] += share * o.wait[s];
    }
  }
  return mean;
}

}  // namespace weft
