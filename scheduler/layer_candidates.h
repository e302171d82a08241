#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/closed_forms.h"
#include "scheduler/layer.h"
#include "scheduler/step_model.h"

namespace weft {

// One pipeline alone at one degree.
struct LayerCandidate {
  int32_t degree = 1;
  double seconds = 0;
};

// All candidate degrees of a slot, ascending, with `gamma` seconds of gradient before what follows
// the experts. REQUIRES: the slot has a pipeline.
std::vector<LayerCandidate> CandidatesOf(const StepModel& model, size_t slot,
                                         AllToAllAlgorithm algorithm, LayerOrder order,
                                         double gamma = 0);

// The same of one degree.
LayerCandidate CandidateAt(const StepModel& model, size_t slot, AllToAllAlgorithm algorithm,
                           LayerOrder order, int32_t degree, double gamma = 0);

// The first of CandidatesOf that is faster than all before it by more than rounding. Degrees that
// a bound rules out are not simulated.
LayerCandidate FastestCandidate(const StepModel& model, size_t slot, AllToAllAlgorithm algorithm,
                                LayerOrder order, double gamma = 0);

// How a draft with so many streams runs a pipeline on its own.
LayerOrder OrderUnder(int32_t streams);

// Chunk times of a slot for the closed forms; operations the layer does not have cost 0.
LayerTimes TimesOf(const StepModel& model, size_t slot, AllToAllAlgorithm algorithm, int32_t degree,
                   double gamma = 0);

}  // namespace weft
