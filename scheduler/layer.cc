#include "scheduler/layer.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "base/check.h"
#include "graph/plan.h"
#include "scheduler/ready_order.h"
#include "scheduler/schedule.h"

namespace weft {

std::vector<Stage> StagesOf(const LayerTimes& times) {
  return {{OpKind::kDispatch, StreamKind::kInter, times.a},
          {OpKind::kEspAllGather, StreamKind::kIntra, times.g},
          {OpKind::kExpert, StreamKind::kCompute, times.e},
          {OpKind::kEspReduceScatter, StreamKind::kIntra, times.s},
          {OpKind::kCombine, StreamKind::kInter, times.a}};
}

namespace {

int32_t StreamsOf(LayerOrder order) {
  if (order == LayerOrder::kSequential) return 1;
  return order == LayerOrder::kOneCommunicationStream ? 2 : kNumStreams;
}

// What the chunks of a layer need as they pass through its stages. `Task` stands for a task.
template <typename Task>
class Frontier {
 public:
  // A stage begins: use(task) for each of the chunk's tasks that it needs.
  template <typename F>
  void Enter(const Stage& stage, F use) {
    if (!stage.beside) before_ = std::exchange(ends_, {});
    for (size_t i = 0; i < before_.count; ++i) use(before_.of[i]);
  }
  void Leave(Task task) {
    WEFT_CHECK(ends_.count < ends_.of.size(), "at most two stages at a time");
    ends_.of[ends_.count++] = task;
  }

 private:
  struct Tasks {
    std::array<Task, 2> of = {};  // no more than two stages run beside each other
    size_t count = 0;
  };
  Tasks ends_;    // what the next stage needs
  Tasks before_;  // ... and what the stage before it needed
};

// In the order of issue: chunk(stage, c) for every chunk of every stage, gradient() where the slice
// goes. Neighbours on one stream take turns chunk by chunk.
template <typename Gradient, typename Chunk>
void ForEachTask(std::span<const Stage> stages, int32_t r, LayerOrder order, Gradient gradient,
                 Chunk chunk) {
  WEFT_CHECK(r >= 1, "a pipeline has at least one chunk");
  const auto stream_of = [&](size_t stage) {
    return StreamUnder(StreamsOf(order), stages[stage].stream);
  };
  for (size_t first = 0, next = 0; first < stages.size(); first = next) {
    next = first + 1;
    while (next < stages.size() && stream_of(next) == stream_of(first)) ++next;
    if (next == stages.size()) gradient();
    for (int32_t c = 0; c < r; ++c) {
      for (size_t k = first; k < next; ++k) chunk(stages[k], c);
    }
  }
}

}  // namespace

LayerSimulation SimulateLayer(std::span<const Stage> stages, double gamma, int32_t r,
                              LayerOrder order) {
  LayerSimulation result;
  Schedule schedule;
  std::vector<IntraTask> intra;
  const auto add = [&](OpKind kind, int32_t chunk, StreamKind stream, double seconds) {
    result.tasks.push_back(LayerTask{kind, chunk, stream, 0, seconds});
    intra.push_back(IntraTask{kind == OpKind::kEspReduceScatter, false, -1});
    return schedule.Add(StreamUnder(StreamsOf(order), stream), seconds);
  };
  std::vector<Frontier<int32_t>> frontiers(static_cast<size_t>(r));
  ForEachTask(
      stages, r, order,
      [&] {
        if (gamma > 0) add(OpKind::kGradAllReduce, 0, StreamKind::kInter, gamma);
      },
      [&](const Stage& stage, int32_t chunk) {
        const int32_t task = add(stage.kind, chunk, stage.stream, stage.seconds);
        Frontier<int32_t>& frontier = frontiers[static_cast<size_t>(chunk)];
        frontier.Enter(stage, [&](int32_t need) { schedule.Need(need); });
        frontier.Leave(task);
      });
  if (order == LayerOrder::kReadyFirst) {
    const std::vector<int32_t> served = OrderByReadiness(schedule, intra, IntraRule::kReadiness);
    schedule = Reordered(schedule, served);
    std::vector<LayerTask> in_order;
    in_order.reserve(served.size());
    for (const int32_t task : served) in_order.push_back(result.tasks[static_cast<size_t>(task)]);
    result.tasks = std::move(in_order);
  }
  std::vector<double> begin;
  std::vector<double> end;
  result.seconds = RunSchedule(schedule, begin, end);
  for (size_t i = 0; i < begin.size(); ++i) result.tasks[i].begin = begin[i];
  return result;
}

double LayerSeconds(std::span<const Stage> stages, double gamma, int32_t r, LayerOrder order) {
  if (order == LayerOrder::kReadyFirst) return SimulateLayer(stages, gamma, r, order).seconds;
  std::array<double, kNumStreams> free = {};
  const auto run = [&](StreamKind stream, double ready, double seconds) {
    double& end = free[static_cast<size_t>(StreamUnder(StreamsOf(order), stream))];
    return end = std::max(end, ready) + seconds;
  };
  absl::InlinedVector<Frontier<double>, 16> frontiers(static_cast<size_t>(r));  // by when tasks end
  ForEachTask(
      stages, r, order,
      [&] {
        if (gamma > 0) run(StreamKind::kInter, 0, gamma);
      },
      [&](const Stage& stage, int32_t chunk) {
        Frontier<double>& frontier = frontiers[static_cast<size_t>(chunk)];
        double ready = 0;
        frontier.Enter(stage, [&](double end) { ready = std::max(ready, end); });
        frontier.Leave(run(stage.stream, ready, stage.seconds));
      });
  return *std::max_element(free.begin(), free.end());
}

}  // namespace weft
