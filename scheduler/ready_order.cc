#include "scheduler/ready_order.h"

#include <algorithm>
#include <array>
#include <limits>
#include <tuple>

#include "base/check.h"

namespace weft {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

class ListScheduler {
 public:
  ListScheduler(const Schedule& schedule, const std::vector<IntraTask>& tasks, IntraRule rule)
      : schedule_(schedule), tasks_(tasks), rule_(rule) {
    WEFT_CHECK(tasks.size() == static_cast<size_t>(schedule.size()), "one description a task");
    WEFT_CHECK(rule != IntraRule::kIssueOrder, "a rule that orders");
    const size_t n = static_cast<size_t>(schedule.size());
    waits_for_.resize(n);
    ready_.resize(n);
    successors_end_.resize(n + 1);
    for (int32_t task = 0; task < schedule.size(); ++task) {
      ForEachNeed(task, [&](int32_t need) { ++successors_end_[static_cast<size_t>(need) + 1]; });
    }
    for (size_t i = 0; i < n; ++i) successors_end_[i + 1] += successors_end_[i];
    successors_.resize(static_cast<size_t>(successors_end_[n]));
    std::vector<int32_t> next(successors_end_.begin(), successors_end_.end() - 1);
    for (int32_t task = 0; task < schedule.size(); ++task) {
      ForEachNeed(task, [&](int32_t need) {
        successors_[static_cast<size_t>(next[static_cast<size_t>(need)]++)] = task;
        ++waits_for_[static_cast<size_t>(task)];
      });
      Queue& queue = queues_[static_cast<size_t>(schedule.stream(task))];
      queue.tasks.push_back(task);
      if (IsIntra(task) && waits_for_[static_cast<size_t>(task)] == 0) known_.push_back(task);
    }
  }

  // Commits tasks in the order of their start. When an intra task is chosen for time t, every task
  // that could be ready at t is known: whatever is not committed yet starts at t or later on the
  // other streams, which go first on ties.
  std::vector<int32_t> Run() {
    std::vector<int32_t> order;
    order.reserve(waits_for_.size());
    while (order.size() < waits_for_.size()) {
      const int32_t inter = Head(StreamKind::kInter);
      const int32_t compute = Head(StreamKind::kCompute);
      const double inter_start = StartOf(inter);
      const double compute_start = StartOf(compute);
      double intra_start = kNever;
      for (const int32_t task : known_) {
        if (InTurn(task)) intra_start = std::min(intra_start, StartOf(task));
      }
      int32_t chosen = inter_start <= compute_start ? inter : compute;
      if (intra_start < std::min(inter_start, compute_start)) chosen = TakeIntra(intra_start);
      WEFT_CHECK(chosen >= 0, "an issue order with needs first never stops");
      Commit(chosen);
      order.push_back(chosen);
    }
    return order;
  }
  // Of the last task.
  double end() const { return std::max({queues_[0].free, queues_[1].free, queues_[2].free}); }

 private:
  struct Queue {
    std::vector<int32_t> tasks;
    size_t next = 0;
    double free = 0;
  };

  bool IsIntra(int32_t task) const { return schedule_.stream(task) == StreamKind::kIntra; }
  const IntraTask& Intra(int32_t task) const { return tasks_[static_cast<size_t>(task)]; }

  template <typename F>
  void ForEachNeed(int32_t task, F use) const {
    for (const int32_t need : schedule_.needs_of(task)) use(need);
    if (IsIntra(task) && Intra(task).after >= 0) use(Intra(task).after);
  }

  bool InTurn(int32_t task) const {
    if (rule_ != IntraRule::kWithinPipelines) return true;
    const Queue& queue = queues_[static_cast<size_t>(StreamKind::kIntra)];
    return Intra(task).segment == Intra(queue.tasks[queue.next]).segment;
  }

  // The next task of an in-order stream if all it waits for is committed, else -1.
  int32_t Head(StreamKind stream) const {
    const Queue& queue = queues_[static_cast<size_t>(stream)];
    if (queue.next == queue.tasks.size()) return -1;
    const int32_t task = queue.tasks[queue.next];
    return waits_for_[static_cast<size_t>(task)] == 0 ? task : -1;
  }

  double StartOf(int32_t task) const {
    if (task < 0) return kNever;
    return std::max(queues_[static_cast<size_t>(schedule_.stream(task))].free,
                    ready_[static_cast<size_t>(task)]);
  }

  int32_t TakeIntra(double now) {
    const auto key = [&](int32_t task) {
      const bool later = rule_ == IntraRule::kPipelineFirst && Intra(task).gradient;
      return std::make_tuple(later, ready_[static_cast<size_t>(task)], !Intra(task).scatters, task);
    };
    size_t best = known_.size();
    for (size_t i = 0; i < known_.size(); ++i) {
      if (ready_[static_cast<size_t>(known_[i])] > now || !InTurn(known_[i])) continue;
      if (best == known_.size() || key(known_[i]) < key(known_[best])) best = i;
    }
    const int32_t task = known_[best];
    known_[best] = known_.back();
    known_.pop_back();
    return task;
  }

  void Commit(int32_t task) {
    Queue& queue = queues_[static_cast<size_t>(schedule_.stream(task))];
    queue.free = StartOf(task) + schedule_.seconds(task);
    ++queue.next;  // of the intra stream: how many are served; segments follow the issue order
    for (int32_t i = successors_end_[static_cast<size_t>(task)];
         i < successors_end_[static_cast<size_t>(task) + 1]; ++i) {
      const int32_t successor = successors_[static_cast<size_t>(i)];
      // A place in the service order is not a need: it leaves the moment of readiness alone.
      if (!IsIntra(successor) || Intra(successor).after != task) {
        ready_[static_cast<size_t>(successor)] =
            std::max(ready_[static_cast<size_t>(successor)], queue.free);
      }
      if (--waits_for_[static_cast<size_t>(successor)] == 0 && IsIntra(successor)) {
        known_.push_back(successor);
      }
    }
  }

  const Schedule& schedule_;
  const std::vector<IntraTask>& tasks_;
  const IntraRule rule_;
  std::array<Queue, kNumStreams> queues_;
  std::vector<int32_t> waits_for_;  // needs not committed yet
  std::vector<double> ready_;       // end of the committed needs
  std::vector<int32_t> successors_end_;
  std::vector<int32_t> successors_;
  std::vector<int32_t> known_;  // intra tasks whose moment of readiness is known
};

}  // namespace

std::vector<int32_t> OrderByReadiness(const Schedule& schedule, const std::vector<IntraTask>& tasks,
                                      IntraRule rule) {
  return ListScheduler(schedule, tasks, rule).Run();
}

double SecondsByReadiness(const Schedule& schedule, const std::vector<IntraTask>& tasks,
                          IntraRule rule) {
  ListScheduler scheduler(schedule, tasks, rule);
  scheduler.Run();
  return scheduler.end();
}

}  // namespace weft
