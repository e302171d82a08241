#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "models/model_spec.h"

// Routing that nobody learned, for benchmarks: which experts a token visits is a pure function of
// (workload, seed, step, layer, sequence, position). `sequence` counts over the global batch of the
// step, so that every layout, number of micro-batches and plan sees the same routing.
//
// E experts, k choices a token, all different; S sequences of L tokens a step. H of the experts are
// hot: hot_experts, or a quarter of E (rounded down, at least 1) where that is 0.
//
//   w0 balanced      Token t = sequence * L + position takes the experts o + t k + i mod E, i < k;
//                    o is drawn for each step and layer. All experts have the same load of a step,
//                    but for one choice.
//   w1 hot experts   Each choice is, with probability hot_share, one of the hot experts, otherwise
//                    one of the others; inside its class every expert that the token has not yet is
//                    equally likely, and a class without any left gives way to the other. So the
//                    hot ones get hot_share of all choices where both classes have at least k
//                    experts. The hot experts are drawn for each layer, and stay.
//   w2 hot rank      The same; hot are the experts 0 to H - 1 of every layer: neighbours, which one
//                    rank holds where experts are spread over E / H ranks.
//   w3 spread        The same; hot are the experts floor(i E / H), i < H: as many on every rank.
//   w4 ragged        Of the four quarters of the global batch the first goes to the experts of the
//      sources       first quarter, the second to the fourth, the third to the second, the fourth
//                    to the third, each in turn as in w0. All experts are equally loaded (where 4
//                    divides S and E); what a source sends, and to whom, is not. A quarter with
//                    fewer than k experts takes the next ones, too.
//   w5 zero-load     w0 over the experts below max(k, ceil(E / 2)); the others get no token.
//      ranks
//   w6 rotating      w2, but the first hot expert of step n is floor(n / workload_period) H mod E.
//      hot spot
//   w7 burst         w2 in the last ceil(workload_period / 5) of every workload_period steps, w0 in
//                    the others.
//   zipf             The choices of a token are drawn one after the other from the experts it has
//                    not yet, the r-th most popular with weight r ^ -zipf_exponent. Popularity is a
//                    random order of each layer, and stays; with zipf_in_order that of the experts,
//                    so that neighbours, which one rank holds, are popular together.

namespace weft {

// "w0" ... "w7", "zipf", in the order of the enum.
std::span<const std::string_view> WorkloadNames();
std::string_view Name(Workload workload);
std::optional<Workload> WorkloadOf(std::string_view name);
// For a person: "w2 (hot rank: 75% of the choices on 2 of 8 experts)".
std::string DescribeWorkload(Workload workload, const MoeSpec& moe);

// H of above.
int32_t HotExperts(const MoeSpec& moe);

// Whose tokens are routed: those of a rank's (micro-)batch in a step.
struct RoutedBatch {
  Workload workload = Workload::kBalanced;
  int64_t step = 0;
  int64_t first_sequence = 0;    // of the batch, counted over the step's global batch
  int64_t global_sequences = 1;  // S
};

// One layer's.
class ForcedRouting {
 public:
  // REQUIRES: 1 <= top_k <= num_experts, hot_experts <= num_experts, workload_period >= 1.
  ForcedRouting(const MoeSpec& moe, int64_t length, uint64_t seed, int32_t layer);

  // The experts of token `token` of the batch (sequence by sequence). experts: [top_k].
  void Choose(const RoutedBatch& batch, int64_t token, std::span<int32_t> experts) const;

  // Which experts tokens take in turn: the n-th choice of a step (n = token of the step * k + i) is
  // expert (begin + (offset + n) mod count) mod E.
  struct Turn {
    int64_t begin = 0, count = 1, offset = 0;
  };
  // Of the sequence that `token` of the batch is in; none where choices are drawn.
  std::optional<Turn> TurnOf(const RoutedBatch& batch, int64_t token) const;
  // Where choices are drawn: the expert at a place of the order that they are drawn from (the hot
  // ones first; the more popular first).
  int32_t ExpertAt(const RoutedBatch& batch, int32_t place) const;
  const MoeSpec& moe() const { return moe_; }
  int64_t length() const { return length_; }

  // How many choices of the batch's first `sequences` sequences fall on each expert. [num_experts]
  std::vector<int64_t> Load(const RoutedBatch& batch, int64_t sequences) const;

 private:
  // Over the step: sequence * L + position.
  int64_t IndexOf(const RoutedBatch& batch, int64_t token) const {
    return batch.first_sequence * length_ + token;
  }
  // Places of experts in an order whose first H are the hot ones. `draw`: of the token's 2 k random
  // numbers the first.
  void HotOrCold(const CounterRng& rng, uint64_t draw, std::span<int32_t> places) const;
  void ByPopularity(const CounterRng& rng, uint64_t draw, std::span<int32_t> places) const;

  MoeSpec moe_;
  int64_t length_;
  int64_t hot_;
  std::vector<CounterRng> rng_;           // [workload]
  std::vector<int32_t> random_, spread_;  // [place] -> expert
  std::vector<double> popularity_;        // [place]
};

}  // namespace weft
