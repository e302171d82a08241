#include "scheduler/schedule.h"

#include <algorithm>
#include <array>
#include <limits>

namespace weft {
namespace {

double RunAlone(const Schedule& schedule, std::vector<double>& begin, std::vector<double>& end) {
  std::array<double, kNumStreams> free = {};
  double makespan = 0;
  const int32_t* need = schedule.needs().data();
  for (int32_t task = 0; task < schedule.size(); ++task) {
    double& stream_free = free[static_cast<size_t>(schedule.stream(task))];
    double start = stream_free;
    for (const int32_t* last = schedule.needs().data() + schedule.needs_end(task); need != last;
         ++need) {
      start = std::max(start, end[static_cast<size_t>(*need)]);
    }
    begin[static_cast<size_t>(task)] = start;
    stream_free = start + schedule.seconds(task);
    end[static_cast<size_t>(task)] = stream_free;
    makespan = std::max(makespan, stream_free);
  }
  return makespan;
}

constexpr double kNever = std::numeric_limits<double>::infinity();

// From event to event: at each one some task ends, tasks that waited for it begin, and the speeds
// of those that run change with the set of busy streams.
class Contended {
 public:
  Contended(const Schedule& schedule, std::vector<double>& begin, std::vector<double>& end)
      : schedule_(schedule), begin_(begin), end_(end) {
    std::fill(end.begin(), end.end(), kNever);
    for (size_t s = 0; s < kNumStreams; ++s) {
      for (size_t busy = 0; busy < kSets; ++busy) {
        std::array<bool, kNumStreams> streams = {};
        for (size_t t = 0; t < kNumStreams; ++t) streams[t] = (busy >> t & 1) != 0;
        stretch_[s][busy] = schedule.contention().StretchOf(static_cast<StreamKind>(s), streams);
      }
      Advance(s, 0);
    }
  }

  double Run() {
    while (StartWhatCan()) {
      now_ = std::min({streams_[0].ends, streams_[1].ends, streams_[2].ends});
      for (size_t s = 0; s < kNumStreams; ++s) {
        if (streams_[s].ends == now_) End(s);
      }
    }
    return now_;
  }

 private:
  static constexpr size_t kSets = 1 << kNumStreams;

  struct Stream {
    int32_t head = 0;      // the task that runs or runs next; size(): none is left
    int32_t need = 0;      // the first of its needs that may not have ended
    double ends = kNever;  // of the task that runs, at its present speed
    double stretch = 1;    // the inverse of that speed
  };

  // The stream's next task is the first of its own from `task` on.
  void Advance(size_t s, int32_t task) {
    while (task < schedule_.size() && schedule_.stream(task) != static_cast<StreamKind>(s)) ++task;
    streams_[s].head = task;
    if (task < schedule_.size()) streams_[s].need = schedule_.needs_begin(task);
  }

  void End(size_t s) {
    Stream& stream = streams_[s];
    end_[static_cast<size_t>(stream.head)] = now_;
    stream.ends = kNever;
    busy_ &= ~(size_t{1} << s);
    Advance(s, stream.head + 1);
  }

  bool Ready(Stream& stream) const {
    const int32_t last = schedule_.needs_end(stream.head);
    const auto ended = [&](int32_t need) {
      return end_[static_cast<size_t>(schedule_.needs()[static_cast<size_t>(need)])] < kNever;
    };
    while (stream.need < last && ended(stream.need)) ++stream.need;
    return stream.need == last;
  }

  // Returns whether something runs.
  bool StartWhatCan() {
    for (size_t s = 0; s < kNumStreams; ++s) {
      Stream& stream = streams_[s];
      if (((busy_ >> s) & 1) != 0 || stream.head == schedule_.size() || !Ready(stream)) continue;
      busy_ |= size_t{1} << s;
      begin_[static_cast<size_t>(stream.head)] = now_;
      stream.stretch = 1;
      stream.ends = now_ + schedule_.seconds(stream.head);
    }
    for (size_t s = 0; s < kNumStreams; ++s) {
      Stream& stream = streams_[s];
      const double stretch = stretch_[s][busy_];
      if (((busy_ >> s) & 1) == 0 || stretch == stream.stretch) continue;
      stream.ends = now_ + (stream.ends - now_) * (stretch / stream.stretch);
      stream.stretch = stretch;
    }
    return busy_ != 0;
  }

  const Schedule& schedule_;
  std::vector<double>& begin_;
  std::vector<double>& end_;
  std::array<std::array<double, kSets>, kNumStreams> stretch_;  // by stream and set of busy ones
  std::array<Stream, kNumStreams> streams_;
  size_t busy_ = 0;  // a bit a stream
  double now_ = 0;
};

}  // namespace

double RunSchedule(const Schedule& schedule, std::vector<double>& begin, std::vector<double>& end) {
  begin.resize(static_cast<size_t>(schedule.size()));
  end.resize(static_cast<size_t>(schedule.size()));
  if (schedule.contention().none()) return RunAlone(schedule, begin, end);
  return Contended(schedule, begin, end).Run();
}

Schedule Reordered(const Schedule& schedule, const std::vector<int32_t>& order) {
  std::vector<int32_t> position(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    position[static_cast<size_t>(order[i])] = static_cast<int32_t>(i);
  }
  Schedule result(schedule.contention());
  result.Reserve(order.size(), schedule.needs().size());
  for (const int32_t task : order) {
    result.Add(schedule.stream(task), schedule.seconds(task));
    for (const int32_t need : schedule.needs_of(task))
      result.Need(position[static_cast<size_t>(need)]);
  }
  return result;
}

}  // namespace weft
