#include "scheduler/layer.h"

#include <array>
#include <utility>

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

LayerSimulation SimulateLayer(std::span<const Stage> stages, double gamma, int32_t r,
                              LayerOrder order) {
  WEFT_CHECK(r >= 1, "a pipeline has at least one chunk");
  const int32_t streams = order == LayerOrder::kSequential               ? 1
                          : order == LayerOrder::kOneCommunicationStream ? 2
                                                                         : kNumStreams;
  const auto stream_of = [&](size_t stage) { return StreamUnder(streams, stages[stage].stream); };
  LayerSimulation result;
  Schedule schedule;
  std::vector<IntraTask> intra;
  const auto add = [&](OpKind kind, int32_t chunk, StreamKind stream, double seconds) {
    result.tasks.push_back(LayerTask{kind, chunk, stream, 0, seconds});
    intra.push_back(IntraTask{kind == OpKind::kEspReduceScatter, false, -1});
    schedule.Add(StreamUnder(streams, stream), seconds);
  };
  const size_t tasks = stages.size() * static_cast<size_t>(r) + 1;
  result.tasks.reserve(tasks);
  intra.reserve(tasks);
  schedule.Reserve(tasks, 2 * tasks);
  // By chunk: what the next stage needs, and what the stage before it needed.
  struct Tasks {
    std::array<int32_t, 2> of = {};  // no more than two stages run beside each other
    size_t count = 0;
  };
  struct Frontier {
    Tasks ends, before;
  };
  std::vector<Frontier> frontiers(static_cast<size_t>(r));
  // Neighbours on one stream take turns chunk by chunk.
  for (size_t first = 0, next = 0; first < stages.size(); first = next) {
    next = first + 1;
    while (next < stages.size() && stream_of(next) == stream_of(first)) ++next;
    if (gamma > 0 && next == stages.size()) {
      add(OpKind::kGradAllReduce, 0, StreamKind::kInter, gamma);
    }
    for (int32_t chunk = 0; chunk < r; ++chunk) {
      Frontier& frontier = frontiers[static_cast<size_t>(chunk)];
      for (size_t k = first; k < next; ++k) {
        add(stages[k].kind, chunk, stages[k].stream, stages[k].seconds);
        if (!stages[k].beside) {
          frontier.before = std::exchange(frontier.ends, {});
        }
        for (size_t i = 0; i < frontier.before.count; ++i) schedule.Need(frontier.before.of[i]);
        WEFT_CHECK(frontier.ends.count < frontier.ends.of.size(), "at most two stages at a time");
        frontier.ends.of[frontier.ends.count++] = schedule.size() - 1;
      }
    }
  }
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

}  // namespace weft
