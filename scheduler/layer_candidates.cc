#include "scheduler/layer_candidates.h"

#include <algorithm>

#include "scheduler/schedule.h"

namespace weft {
namespace {

const Pipeline& FirstPipeline(const StepModel& model, size_t slot) {
  return model.pipelines()[static_cast<size_t>(model.slots()[slot].pipelines.front())];
}

// The second step of pipe does not wait for the first.
bool RunsBeside(const Op& op, AllToAllAlgorithm algorithm) {
  return algorithm == AllToAllAlgorithm::kPipe && op.step > 0;
}

}  // namespace

std::vector<LayerCandidate> CandidatesOf(const StepModel& model, size_t slot,
                                         AllToAllAlgorithm algorithm, LayerOrder order,
                                         double gamma) {
  std::vector<LayerCandidate> candidates;
  for (const int32_t degree : model.degrees()) {
    std::vector<Stage> stages;
    for (const OpId id : FirstPipeline(model, slot).stages_under(algorithm)) {
      const Op& op = model.graph().op(id);
      stages.push_back(
          Stage{op.key.kind, op.stream, model.ChunkSeconds(id, degree), RunsBeside(op, algorithm)});
    }
    candidates.push_back(
        LayerCandidate{degree, SimulateLayer(stages, gamma, degree, order).seconds});
  }
  return candidates;
}

const LayerCandidate& FastestOf(const std::vector<LayerCandidate>& candidates) {
  const LayerCandidate* best = &candidates.front();
  for (const LayerCandidate& candidate : candidates) {
    if (Faster(candidate.seconds, best->seconds)) best = &candidate;
  }
  return *best;
}

LayerOrder OrderUnder(int32_t streams) {
  if (streams == 1) return LayerOrder::kSequential;
  return streams == 2 ? LayerOrder::kOneCommunicationStream : LayerOrder::kGathersFirst;
}

LayerTimes TimesOf(const StepModel& model, size_t slot, AllToAllAlgorithm algorithm, int32_t degree,
                   double gamma) {
  LayerTimes times;
  times.gamma = gamma;
  for (const OpId id : FirstPipeline(model, slot).stages_under(algorithm)) {
    const double seconds = model.ChunkSeconds(id, degree);
    switch (model.graph().op(id).key.kind) {
      case OpKind::kDispatch:
        times.a = RunsBeside(model.graph().op(id), algorithm) ? std::max(times.a, seconds)
                                                              : times.a + seconds;
        break;
      case OpKind::kEspAllGather:
        times.g = seconds;
        break;
      case OpKind::kExpert:
        times.e = seconds;
        break;
      case OpKind::kEspReduceScatter:
        times.s = seconds;
        break;
      default:
        break;
    }
  }
  return times;
}

}  // namespace weft
