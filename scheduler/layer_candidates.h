#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/closed_forms.h"
#include "scheduler/step_model.h"

namespace weft {

// One pipeline alone at one degree, under both service orders of the intra-node stream.
struct LayerCandidate {
  int32_t degree = 1;
  double gathers_first = 0;  // seconds
  double ready_first = 0;
};

// All candidate degrees of a slot, ascending; `gamma` seconds of gradient before the combine.
std::vector<LayerCandidate> CandidatesOf(const StepModel& model, size_t slot, double gamma = 0);

// Chunk times of a slot for the closed forms; operations the layer does not have cost 0.
LayerTimes TimesOf(const StepModel& model, size_t slot, int32_t degree, double gamma = 0);

}  // namespace weft
