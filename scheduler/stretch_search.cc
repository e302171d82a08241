#include "scheduler/stretch_search.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "scheduler/priority_order.h"

namespace weft {
namespace {

constexpr double kRounding = 1e-6;

// A set of small numbers that knows its least.
class Ranks {
 public:
  bool empty() const { return (words_[0] | words_[1] | words_[2]) == 0; }
  void Insert(size_t rank) { words_[rank / kBits] |= uint64_t{1} << rank % kBits; }
  void Erase(size_t rank) { words_[rank / kBits] &= ~(uint64_t{1} << rank % kBits); }
  // REQUIRES: not empty.
  size_t least() const {
    size_t word = 0;
    while (words_[word] == 0) ++word;
    return word * kBits + static_cast<size_t>(std::countr_zero(words_[word]));
  }

 private:
  static constexpr size_t kBits = 64;
  std::array<uint64_t, StretchSearch::kMostTasks / kBits> words_ = {};
};

// Returns where it was.
size_t Remove(int32_t task, std::vector<int32_t>& from) {
  const auto found = std::find(from.begin(), from.end(), task);
  const size_t place = static_cast<size_t>(found - from.begin());
  from.erase(found);
  return place;
}

void Insert(int32_t task, size_t place, std::vector<int32_t>& into) {
  into.insert(into.begin() + static_cast<std::ptrdiff_t>(place), task);
}

}  // namespace

StretchSearch::StretchSearch(const Schedule& schedule, double below, int64_t most_nodes)
    : schedule_(schedule), most_nodes_(most_nodes), best_(below) {
  const size_t tasks = static_cast<size_t>(schedule.size());
  WEFT_CHECK(tasks <= kMostTasks, "small enough to search");
  successors_.resize(tasks);
  for (int32_t task = 0; task < schedule.size(); ++task) {
    seconds_.push_back(schedule.seconds(task));
    missing_.push_back(static_cast<int32_t>(schedule.needs_of(task).size()));
    for (const int32_t need : schedule.needs_of(task))
      successors_[static_cast<size_t>(need)].push_back(task);
  }
  begin_.resize(tasks);
  end_.resize(tasks);
  heads_.resize(tasks * tasks);
  unserved_.resize(tasks);
  std::iota(unserved_.begin(), unserved_.end(), 0);
  left_.resize(tasks);
  FindTails();
}

void StretchSearch::Run() {
  TryLongestTailFirst();
  Search(0);
}

// What follows a task on one stream needs the sum of its seconds there, and what follows that.
void StretchSearch::FindTails() {
  std::vector<Tasks> followers(size());
  tail_.assign(size(), 0);
  for (size_t task = size(); task-- > 0;) {
    for (const int32_t successor : successors_[task]) {
      followers[task] |= followers[static_cast<size_t>(successor)];
      followers[task].set(static_cast<size_t>(successor));
    }
    for (const Stream& stream : streams_) {
      double sum = 0;
      for (const int32_t later : stream.by_tail) {
        if (!followers[task][static_cast<size_t>(later)]) continue;
        sum += seconds_[static_cast<size_t>(later)];
        tail_[task] = std::max(tail_[task], sum + tail_[static_cast<size_t>(later)]);
      }
    }
    const int32_t index = static_cast<int32_t>(task);
    Stream& own = streams_[static_cast<size_t>(schedule_.stream(index))];
    own.by_tail.insert(std::find_if(own.by_tail.begin(), own.by_tail.end(),
                                    [&](int32_t later) {
                                      return tail_[static_cast<size_t>(later)] <= tail_[task];
                                    }),
                       index);
    own.by_head.insert(own.by_head.begin(), index);
  }
  rank_.resize(size());
  for (const Stream& stream : streams_) {
    for (size_t rank = 0; rank < stream.by_tail.size(); ++rank)
      rank_[static_cast<size_t>(stream.by_tail[rank])] = rank;
  }
}

// One schedule to begin with: the longest way to the end first.
void StretchSearch::TryLongestTailFirst() {
  std::vector<double> urgency = SecondsToTheEnd(schedule_);
  for (double& seconds : urgency) seconds = -seconds;
  const double seconds = SecondsByPriority(schedule_, urgency);
  if (seconds >= best_) return;
  best_ = seconds;
  best_order_ = OrderByPriority(schedule_, urgency);
}

void StretchSearch::Search(size_t depth) {
  if (nodes_ >= most_nodes_) return;
  ++nodes_;
  if (depth == size()) return Served();
  double* heads = heads_.data() + depth * size();
  const double below = best_ * (1 - kRounding);
  if (!FindHeads(heads, below) || RuledOut(heads, below) || Dominated(heads)) return;
  const size_t first = branches_.size();
  FindBranches(heads);
  const size_t last = branches_.size();
  for (size_t i = first; i < last; ++i) {
    const int32_t task = branches_[i];
    const size_t t = static_cast<size_t>(task);
    Stream& stream = streams_[static_cast<size_t>(schedule_.stream(task))];
    begin_[t] = heads[t];
    end_[t] = heads[t] + seconds_[t];
    const double was_free = std::exchange(stream.free, end_[t]);
    const size_t place = Remove(task, unserved_);
    const size_t place_by_head = Remove(task, stream.by_head);
    served_.set(t);
    for (const int32_t successor : successors_[t]) --missing_[static_cast<size_t>(successor)];
    Search(depth + 1);
    for (const int32_t successor : successors_[t]) ++missing_[static_cast<size_t>(successor)];
    served_.reset(t);
    Insert(task, place_by_head, stream.by_head);
    Insert(task, place, unserved_);
    stream.free = was_free;
  }
  branches_.resize(first);
}

// All are.
void StretchSearch::Served() {
  double seconds = 0;
  for (const Stream& stream : streams_) seconds = std::max(seconds, stream.free);
  if (seconds >= best_) return;
  best_ = seconds;
  best_order_.resize(size());
  std::iota(best_order_.begin(), best_order_.end(), 0);
  std::stable_sort(best_order_.begin(), best_order_.end(), [&](int32_t a, int32_t b) {
    const auto at = [&](int32_t task) {
      const size_t t = static_cast<size_t>(task);
      return std::pair(begin_[t], begin_[t] + seconds_[t]);
    };
    return at(a) < at(b);
  });
}

// The earliest start of every task that is not served. Returns whether, for all that their longest
// tails say, less than `below` is possible; otherwise some heads are missing.
bool StretchSearch::FindHeads(double* heads, double below) {
  for (const Stream& stream : streams_) {
    if (stream.free >= below) return false;
  }
  for (const int32_t task : unserved_) {
    const size_t t = static_cast<size_t>(task);
    double head = streams_[static_cast<size_t>(schedule_.stream(task))].free;
    for (const int32_t need : schedule_.needs_of(task))
      head = std::max(head, end_[static_cast<size_t>(need)]);
    heads[t] = head;
    end_[t] = head + seconds_[t];
    if (end_[t] + tail_[t] >= below) return false;
  }
  return true;
}

// Whether some stream's tasks take `below` or more from here on.
bool StretchSearch::RuledOut(const double* heads, double below) {
  // The stream that ruled out the last branch first.
  for (size_t i = 0; i < streams_.size(); ++i) {
    const size_t stream = (fullest_ + i) % streams_.size();
    if (StreamBound(streams_[stream], heads, below) < below) continue;
    fullest_ = stream;
    return true;
  }
  return false;
}

// Jackson's preemptive schedule: whatever is there with the longest tail runs, and gives way. Stops
// at `enough`.
double StretchSearch::StreamBound(Stream& stream, const double* heads, double enough) {
  std::vector<int32_t>& coming = stream.by_head;
  const auto head = [&](size_t i) { return heads[static_cast<size_t>(coming[i])]; };
  for (size_t i = 1; i < coming.size(); ++i) {
    for (size_t j = i; j > 0 && head(j) < head(j - 1); --j) std::swap(coming[j], coming[j - 1]);
  }
  Ranks there;
  double bound = 0;
  double now = 0;
  for (size_t next = 0; bound < enough && (next < coming.size() || !there.empty());) {
    if (there.empty()) now = std::max(now, head(next));
    for (; next < coming.size() && head(next) <= now; ++next) {
      const size_t t = static_cast<size_t>(coming[next]);
      there.Insert(rank_[t]);
      left_[rank_[t]] = seconds_[t];
    }
    const size_t rank = there.least();
    const double until = next < coming.size() ? head(next) : kNever;
    if (now + left_[rank] > until) {
      left_[rank] -= until - now;
      now = until;
    } else {
      now += left_[rank];
      bound = std::max(bound, now + tail_[static_cast<size_t>(stream.by_tail[rank])]);
      there.Erase(rank);
    }
  }
  return bound;
}

bool StretchSearch::Dominated(const double* heads) {
  std::vector<double> mine;
  mine.reserve(unserved_.size());
  for (const int32_t task : unserved_) mine.push_back(heads[static_cast<size_t>(task)]);
  const auto no_later = [&](const double* a, const double* b) {
    return std::equal(a, a + mine.size(), b, std::less_equal<>());
  };
  std::vector<double>& others = seen_[served_];
  size_t kept = 0;
  for (size_t i = 0; i < others.size(); i += mine.size()) {
    if (no_later(others.data() + i, mine.data())) return true;
  }
  for (size_t i = 0; i < others.size(); i += mine.size()) {
    if (no_later(mine.data(), others.data() + i)) continue;
    std::copy_n(others.begin() + static_cast<std::ptrdiff_t>(i), mine.size(),
                others.begin() + static_cast<std::ptrdiff_t>(kept));
    kept += mine.size();
  }
  others.resize(kept);
  others.insert(others.end(), mine.begin(), mine.end());
  return false;
}

void StretchSearch::FindBranches(const double* heads) {
  const auto end_of = [&](int32_t task) { return end_[static_cast<size_t>(task)]; };
  const auto eligible = [&](int32_t task) { return missing_[static_cast<size_t>(task)] == 0; };
  int32_t soonest = -1;
  for (const int32_t task : unserved_) {
    if (eligible(task) && (soonest < 0 || end_of(task) < end_of(soonest))) soonest = task;
  }
  // Whatever else waits for that stream begins before the soonest task could end, or leaves a gap
  // that it fits into. The longest tail first.
  const StreamKind stream = schedule_.stream(soonest);
  for (const int32_t task : streams_[static_cast<size_t>(stream)].by_tail) {
    const size_t t = static_cast<size_t>(task);
    if (served_[t] || !eligible(task)) continue;
    if (task == soonest || heads[t] < end_of(soonest)) branches_.push_back(task);
  }
}

}  // namespace weft
