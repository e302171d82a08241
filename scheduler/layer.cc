#include "scheduler/layer.h"

#include "base/check.h"
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
                              bool ready_first) {
  WEFT_CHECK(r >= 1, "a pipeline has at least one chunk");
  LayerSimulation result;
  Schedule schedule;
  std::vector<IntraTask> intra;
  const auto add = [&](OpKind kind, int32_t chunk, StreamKind stream, double seconds) {
    result.tasks.push_back(LayerTask{kind, chunk, stream, 0, seconds});
    intra.push_back(IntraTask{kind == OpKind::kEspReduceScatter, false, -1});
    return schedule.Add(stream, seconds);
  };
  int32_t previous_stage = -1;  // its first task
  for (size_t k = 0; k < stages.size(); ++k) {
    if (gamma > 0 && k + 1 == stages.size()) {
      add(OpKind::kGradAllReduce, 0, StreamKind::kInter, gamma);
    }
    const int32_t first = schedule.size();
    for (int32_t chunk = 0; chunk < r; ++chunk) {
      add(stages[k].kind, chunk, stages[k].stream, stages[k].seconds);
      if (previous_stage >= 0) schedule.Need(previous_stage + chunk);
    }
    previous_stage = first;
  }
  if (ready_first) {
    const std::vector<int32_t> order = OrderByReadiness(schedule, intra, IntraRule::kReadiness);
    schedule = Reordered(schedule, order);
    std::vector<LayerTask> tasks;
    for (const int32_t task : order) tasks.push_back(result.tasks[static_cast<size_t>(task)]);
    result.tasks = std::move(tasks);
  }
  std::vector<double> begin;
  result.seconds = RunSchedule(schedule, begin);
  for (size_t i = 0; i < begin.size(); ++i) result.tasks[i].begin = begin[i];
  return result;
}

}  // namespace weft
