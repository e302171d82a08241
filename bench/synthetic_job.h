#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "bench/settings.h"
#include "graph/plan.h"
#include "graph/span.h"
#include "graph/step_graph.h"
#include "models/model_spec.h"

namespace weft {

// The model that the settings layers, hidden, ffn, heads, kv_heads, vocab, length, experts and
// top_k describe; everything else is a model's default. REQUIRES: all of them are there.
ModelSpec ModelOf(const Settings& settings);

// Random tokens and labels: a step's are a function of seed and step alone.
class SyntheticTokens {
 public:
  SyntheticTokens(uint64_t seed, int32_t vocab_size, int64_t count);

  void Draw(int64_t step);
  std::span<const int32_t> tokens() const { return tokens_; }
  std::span<const int32_t> labels() const { return labels_; }

 private:
  uint64_t seed_, vocabulary_;
  std::vector<int32_t> tokens_, labels_;
};

// Seconds of a step's spans by what its tasks do: "expert.fwd".
std::map<std::string, double> SecondsByOperation(const StepGraph& graph, const Plan& plan,
                                                 std::span<const Span> spans);

}  // namespace weft
