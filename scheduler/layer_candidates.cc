#include "scheduler/layer_candidates.h"

#include <algorithm>
#include <array>

#include "absl/container/inlined_vector.h"
#include "scheduler/schedule.h"

namespace weft {
namespace {

using Stages = absl::InlinedVector<Stage, 8>;

const Pipeline& FirstPipeline(const StepModel& model, size_t slot) {
  return model.pipelines()[static_cast<size_t>(model.slots()[slot].pipelines.front())];
}

// The second step of pipe does not wait for the first.
bool RunsBeside(const Op& op, AllToAllAlgorithm algorithm) {
  return algorithm == AllToAllAlgorithm::kPipe && op.step > 0;
}

Stages ChunkStages(const StepModel& model, size_t slot, AllToAllAlgorithm algorithm,
                   int32_t degree) {
  Stages stages;
  for (const OpId id : FirstPipeline(model, slot).stages_under(algorithm)) {
    const Op& op = model.graph().op(id);
    stages.push_back(
        Stage{op.key.kind, op.stream, model.ChunkSeconds(id, degree), RunsBeside(op, algorithm)});
  }
  return stages;
}

// No order takes less: all chunks of a stage, behind what one chunk needs before it and before what
// one needs after it, and all work of a stream.
double LayerBound(std::span<const Stage> stages, double gamma, int32_t degree) {
  std::array<double, kNumStreams> work = {};
  work[static_cast<size_t>(StreamKind::kInter)] = gamma;
  // Of one chunk; stages that run beside each other count nothing.
  const auto chained = [&](size_t i) {
    const bool beside = stages[i].beside || (i + 1 < stages.size() && stages[i + 1].beside);
    return beside ? 0.0 : stages[i].seconds;
  };
  double tail = 0;
  for (size_t i = 0; i < stages.size(); ++i) tail += chained(i);
  double head = 0;
  double bound = 0;
  for (size_t i = 0; i < stages.size(); ++i) {
    const double all = degree * stages[i].seconds;
    tail -= chained(i);
    bound = std::max(bound, head + all + tail);
    head += chained(i);
    work[static_cast<size_t>(stages[i].stream)] += all;
  }
  for (const double seconds : work) bound = std::max(bound, seconds);
  return bound;
}

}  // namespace

std::vector<LayerCandidate> CandidatesOf(const StepModel& model, size_t slot,
                                         AllToAllAlgorithm algorithm, LayerOrder order,
                                         double gamma) {
  std::vector<LayerCandidate> candidates;
  for (const int32_t degree : model.degrees()) {
    candidates.push_back(CandidateAt(model, slot, algorithm, order, degree, gamma));
  }
  return candidates;
}

LayerCandidate CandidateAt(const StepModel& model, size_t slot, AllToAllAlgorithm algorithm,
                           LayerOrder order, int32_t degree, double gamma) {
  const Stages stages = ChunkStages(model, slot, algorithm, degree);
  return {degree, LayerSeconds(stages, gamma, degree, order)};
}

LayerCandidate FastestCandidate(const StepModel& model, size_t slot, AllToAllAlgorithm algorithm,
                                LayerOrder order, double gamma) {
  LayerCandidate best;
  for (const int32_t degree : model.degrees()) {
    const Stages stages = ChunkStages(model, slot, algorithm, degree);
    const bool first = degree == model.degrees().front();
    if (!first && !Faster(LayerBound(stages, gamma, degree), best.seconds)) continue;
    const double seconds = LayerSeconds(stages, gamma, degree, order);
    if (first || Faster(seconds, best.seconds)) best = {degree, seconds};
  }
  return best;
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
