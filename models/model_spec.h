#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace weft {

// Of activations, their gradients, and weights as products read them. Master weights, their
// gradients, optimizer state, statistics of norms and attention, and what the gate decides with are
// fp32 in either case.
enum class Precision : uint8_t { kFp32, kBf16 };

enum class Backbone : uint8_t {
  kGpt2,     // learned positions, LayerNorm with bias, biased projections, GELU FFN
  kMixtral,  // RoPE, RMSNorm, grouped-query attention, no biases, SwiGLU FFN
};

// How many rows an expert may receive (models/moe/router.h).
enum class CapacityMode : uint8_t {
  kDropless,  // every row, exact sizes
  kFactor,    // at most ceil(top_k * factor * tokens / experts) rows per expert and sequence; 0
              // factor: the largest load; negative: the largest load, capped at |factor|. Tutel's
              // three meanings.
};

// Who says which experts a token visits.
enum class Routing : uint8_t {
  kLearned,  // the gate
  kForced,   // a workload (models/moe/forced_routing.h); the gate still weighs and learns
};

// What is forced: models/moe/forced_routing.h says exactly.
enum class Workload : uint8_t {
  kBalanced,          // w0
  kHotExperts,        // w1
  kHotRank,           // w2
  kSpreadHotExperts,  // w3
  kRaggedSources,     // w4
  kZeroLoadRanks,     // w5
  kRotatingHotSpot,   // w6
  kBurst,             // w7
  kZipf,              // zipf
};

struct MoeSpec {
  int32_t num_experts = 8;
  int32_t top_k = 2;
  int32_t shared_experts = 0;  // that every token visits, as one FFN of their widths together
  int32_t every = 1;  // layer i has experts when (i + 1) % every == 0; the others have a dense FFN
  bool renormalize = true;     // weights of the chosen experts sum to 1
  double balance_loss = 0.01;  // coefficient of E * sum_e f_e P_e, per sequence; 0: off
  CapacityMode capacity_mode = CapacityMode::kDropless;
  double capacity_factor = 0;  // read in kFactor only
  Routing routing = Routing::kLearned;
  Workload workload = Workload::kBalanced;  // this and what follows: read in kForced only
  double hot_share = 0.75;                  // of the choices: what hot experts get
  int32_t hot_experts = 0;                  // 0: a quarter of the experts, at least 1
  int32_t workload_period = 10;             // steps: of w6's rotation and w7's bursts
  double zipf_exponent = 1.0;
  bool zipf_in_order = false;  // expert 0 is the most popular one
};

// What changes the mathematics of the forward pass. Weights of linear layers are [out, in].
struct ModelSpec {
  Backbone backbone = Backbone::kMixtral;
  Precision precision = Precision::kFp32;
  int32_t vocab_size = 256;
  int32_t num_layers = 4;
  int32_t hidden_size = 128;
  int32_t num_heads = 4;
  int32_t num_kv_heads = 2;       // == num_heads for kGpt2
  int32_t ffn_hidden_size = 256;  // of one expert, and of a dense FFN
  int32_t max_sequence_length = 256;
  double norm_epsilon = 1e-5;
  double rope_theta = 10000.0;
  double init_std = 0.02;  // normal; output projections are scaled by 1 / sqrt(2 * num_layers)
  MoeSpec moe;

  DType dtype() const { return precision == Precision::kBf16 ? DType::kBF16 : DType::kF32; }
  int32_t shared_hidden_size() const { return moe.shared_experts * ffn_hidden_size; }
  int32_t head_dim() const { return hidden_size / num_heads; }
  bool is_moe_layer(int32_t layer) const { return (layer + 1) % moe.every == 0; }
  int32_t num_moe_layers() const { return num_layers / moe.every; }
};

}  // namespace weft
