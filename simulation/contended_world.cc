#include "simulation/contended_world.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <queue>
#include <tuple>

#include "base/check.h"

namespace weft {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr size_t kSets = size_t{1} << kNumStreams;

// A task on one rank, or a collective on one group, from the first member that issues it on.
struct Run {
  int32_t task = -1;
  int32_t group = -1;        // -1: of one rank
  int32_t rank = -1;         // of that
  int32_t missing = 0;       // members that have not issued it
  double alone = 0;          // the busiest member's seconds
  double ends = kNever;      // at its present speed; kNever: has not begun, or has ended
  double stretch = 1;        // the inverse of that speed
  int64_t version = 0;       // of `ends`, so that the queue's older ones are passed over
  bool to_be_timed = false;  // the busy streams of a member have changed
  std::array<int32_t, kSets> members_beside = {};  // members by their set of busy streams
};

class Simulation {
 public:
  Simulation(const World& world, WorldObserver observe)
      : world_(world),
        schedule_(world.schedule),
        observe_(observe),
        tasks_(static_cast<size_t>(schedule_.size())),
        ranks_(static_cast<size_t>(world.ranks)) {
    for (size_t s = 0; s < kNumStreams; ++s) {
      for (size_t busy = 0; busy < kSets; ++busy) {
        std::array<bool, kNumStreams> streams = {};
        for (size_t t = 0; t < kNumStreams; ++t) streams[t] = (busy >> t & 1) != 0;
        stretch_[s][busy] = schedule_.contention().StretchOf(static_cast<StreamKind>(s), streams);
      }
    }
    next_.assign(tasks_.size() + 1, {});
    for (int32_t& next : next_.back()) next = schedule_.size();
    for (int32_t task = schedule_.size() - 1; task >= 0; --task) {
      const auto t = static_cast<size_t>(task);
      next_[t] = next_[t + 1];
      next_[t][static_cast<size_t>(schedule_.stream(task))] = task;
    }
    for (int32_t rank = 0; rank < world.ranks; ++rank) {
      for (size_t s = 0; s < kNumStreams; ++s) Advance(rank, s, 0);
      Touch(rank);
    }
  }

  double Simulate() {
    StartWhatCan();
    while (!queue_.empty()) {
      const auto [ends, run, version] = queue_.top();
      queue_.pop();
      if (runs_[run].version != version) continue;
      now_ = ends;
      End(run);
      // All that ends now ends before anything begins, as on one rank.
      while (!queue_.empty() && std::get<0>(queue_.top()) == now_) {
        const auto [unused, also, its_version] = queue_.top();
        queue_.pop();
        if (runs_[also].version == its_version) End(also);
      }
      StartWhatCan();
    }
    WEFT_CHECK(ended_ == int64_t{world_.ranks} * schedule_.size(), "every task ends on every rank");
    return now_;
  }

 private:
  struct StreamState {
    int32_t head = 0;  // the task that is issued or is issued next; size(): none is left
    int32_t need = 0;  // the first of its needs that may not have ended
    int64_t run = -1;  // of the head; -1: not issued
  };
  struct RankState {
    std::array<StreamState, kNumStreams> streams;
    size_t busy = 0;  // a bit a stream: transfers and computes, does not wait
    bool touched = false;
  };
  struct TaskState {
    WorldTask times;           // while some ranks have issued it and some have not ended it
    std::vector<int64_t> run;  // [group]: of a collective
    int32_t left = -1;         // ranks on which it has not ended; -1: none has issued it
  };

  void Advance(int32_t rank, size_t s, int32_t from) {
    StreamState& stream = ranks_[static_cast<size_t>(rank)].streams[s];
    stream.head = next_[static_cast<size_t>(from)][s];
    stream.run = -1;
    if (stream.head < schedule_.size()) stream.need = schedule_.needs_begin(stream.head);
  }

  // Something of the rank has ended: its streams may go on.
  void Touch(int32_t rank) {
    RankState& state = ranks_[static_cast<size_t>(rank)];
    if (!state.touched) touched_.push_back(rank);
    state.touched = true;
  }

  bool Ended(int32_t task, int32_t rank) const {
    const TaskState& state = tasks_[static_cast<size_t>(task)];
    return state.left == 0 ||
           (state.left > 0 && state.times.end[static_cast<size_t>(rank)] < kNever);
  }

  bool Ready(int32_t rank, StreamState& stream) const {
    const int32_t last = schedule_.needs_end(stream.head);
    while (stream.need < last && Ended(schedule_.needs()[static_cast<size_t>(stream.need)], rank)) {
      ++stream.need;
    }
    return stream.need == last;
  }

  TaskState& Known(int32_t task) {
    TaskState& state = tasks_[static_cast<size_t>(task)];
    if (state.left >= 0) return state;
    const auto ranks = static_cast<size_t>(world_.ranks);
    state.left = world_.ranks;
    state.times.alone.resize(ranks);
    world_.seconds(task, state.times.alone);
    state.times.issued.assign(ranks, kNever);
    state.times.begin.assign(ranks, kNever);
    state.times.end.assign(ranks, kNever);
    const RankGroups* groups = world_.groups[static_cast<size_t>(task)];
    if (groups != nullptr) state.run.assign(static_cast<size_t>(groups->size()), -1);
    return state;
  }

  int64_t NewRun() {
    if (spare_runs_.empty()) {
      runs_.emplace_back();
      return static_cast<int64_t>(runs_.size()) - 1;
    }
    const int64_t run = spare_runs_.back();
    spare_runs_.pop_back();
    const int64_t version = runs_[static_cast<size_t>(run)].version;
    runs_[static_cast<size_t>(run)] = Run{};
    runs_[static_cast<size_t>(run)].version = version;
    return run;
  }

  std::span<const int32_t> MembersOf(const Run& run) const {
    if (run.group < 0) return {&run.rank, 1};
    return world_.groups[static_cast<size_t>(run.task)]->members[static_cast<size_t>(run.group)];
  }

  void Issue(int32_t rank, StreamState& stream) {
    TaskState& task = Known(stream.head);
    const RankGroups* groups = world_.groups[static_cast<size_t>(stream.head)];
    const auto r = static_cast<size_t>(rank);
    task.times.issued[r] = now_;
    const int32_t group = groups == nullptr ? -1 : groups->group_of[r];
    int64_t index = group < 0 ? -1 : task.run[static_cast<size_t>(group)];
    if (index < 0) {
      index = NewRun();
      Run& run = runs_[static_cast<size_t>(index)];
      run.task = stream.head;
      run.group = group;
      run.rank = rank;
      run.missing = static_cast<int32_t>(MembersOf(run).size());
      if (group >= 0) task.run[static_cast<size_t>(group)] = index;
    }
    stream.run = index;
    Run& run = runs_[static_cast<size_t>(index)];
    run.alone = std::max(run.alone, task.times.alone[r]);
    if (--run.missing == 0) Begin(index);
  }

  void Begin(int64_t index) {
    Run& run = runs_[static_cast<size_t>(index)];
    run.ends = now_ + run.alone;
    const auto s = static_cast<size_t>(schedule_.stream(run.task));
    WorldTask& times = tasks_[static_cast<size_t>(run.task)].times;
    for (const int32_t member : MembersOf(run)) {
      times.begin[static_cast<size_t>(member)] = now_;
      const RankState& state = ranks_[static_cast<size_t>(member)];
      ++run.members_beside[state.busy];
      SetBusy(member, state.busy | size_t{1} << s);
    }
    ToBeTimed(index);
  }

  void End(size_t index) {
    Run& run = runs_[index];
    ++run.version;
    run.ends = kNever;
    const auto s = static_cast<size_t>(schedule_.stream(run.task));
    TaskState& task = tasks_[static_cast<size_t>(run.task)];
    for (const int32_t member : MembersOf(run)) {
      task.times.end[static_cast<size_t>(member)] = now_;
      Advance(member, s, run.task + 1);
      SetBusy(member, ranks_[static_cast<size_t>(member)].busy & ~(size_t{1} << s));
      Touch(member);
    }
    const auto members = static_cast<int32_t>(MembersOf(run).size());
    ended_ += members;
    task.left -= members;
    if (task.left == 0) {
      observe_(run.task, task.times);
      task.times = WorldTask{};
      task.run = {};
    }
    spare_runs_.push_back(static_cast<int64_t>(index));
  }

  // Of a rank: what runs on it has other company from now on.
  void SetBusy(int32_t rank, size_t busy) {
    RankState& state = ranks_[static_cast<size_t>(rank)];
    for (const StreamState& stream : state.streams) {
      if (stream.run < 0) continue;
      Run& run = runs_[static_cast<size_t>(stream.run)];
      if (run.ends == kNever) continue;
      --run.members_beside[state.busy];
      ++run.members_beside[busy];
      ToBeTimed(stream.run);
    }
    state.busy = busy;
  }

  void ToBeTimed(int64_t index) {
    Run& run = runs_[static_cast<size_t>(index)];
    if (!run.to_be_timed) to_be_timed_.push_back(index);
    run.to_be_timed = true;
  }

  void StartWhatCan() {
    for (const int32_t rank : touched_) {
      RankState& state = ranks_[static_cast<size_t>(rank)];
      state.touched = false;
      for (StreamState& stream : state.streams) {
        const bool waits = stream.run >= 0 || stream.head == schedule_.size();
        if (!waits && Ready(rank, stream)) Issue(rank, stream);
      }
    }
    touched_.clear();
    for (const int64_t index : to_be_timed_) Time(index);
    to_be_timed_.clear();
  }

  // The end of what runs, at the speed that its slowest member has now.
  void Time(int64_t index) {
    Run& run = runs_[static_cast<size_t>(index)];
    if (!run.to_be_timed) return;  // it has ended, and its place has been taken since
    run.to_be_timed = false;
    if (run.ends == kNever) return;
    const auto s = static_cast<size_t>(schedule_.stream(run.task));
    double stretch = 0;
    for (size_t busy = 0; busy < kSets; ++busy) {
      if (run.members_beside[busy] > 0) stretch = std::max(stretch, stretch_[s][busy]);
    }
    if (stretch != run.stretch) {
      run.ends = now_ + (run.ends - now_) * (stretch / run.stretch);
      run.stretch = stretch;
    }
    ++run.version;
    queue_.emplace(run.ends, static_cast<size_t>(index), run.version);
  }

  using QueueEntry = std::tuple<double, size_t, int64_t>;  // ends, run, version

  const World& world_;
  const Schedule& schedule_;
  WorldObserver observe_;
  std::array<std::array<double, kSets>, kNumStreams> stretch_;  // by stream and set of busy ones
  std::vector<std::array<int32_t, kNumStreams>> next_;  // [task][stream]: the first from it on
  std::vector<TaskState> tasks_;
  std::vector<RankState> ranks_;
  std::vector<Run> runs_;
  std::vector<int64_t> spare_runs_;
  std::vector<int32_t> touched_;
  std::vector<int64_t> to_be_timed_;
  std::priority_queue<QueueEntry, std::vector<QueueEntry>, std::greater<>> queue_;
  int64_t ended_ = 0;
  double now_ = 0;
};

}  // namespace

double RunContendedWorld(const World& world, WorldObserver observe) {
  return Simulation(world, observe).Simulate();
}

}  // namespace weft
