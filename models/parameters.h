#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "graph/expert_placement.h"
#include "graph/topology.h"
#include "models/model_spec.h"
#include "tensor/device/buffer.h"
#include "tensor/view.h"

// The parameters one rank holds, with gradients and optimizer state, in flat buckets: one per layer
// for the dense part (attention, norms, router), one per MoE layer for this rank's expert shards,
// and one for what belongs to no layer (embedding, positions, final norm). A bucket is what
// gradient slices and the optimizer work on; a Parameter is a named window of it.
//
// Expert e of a layer is at home on the ranks of ep_index = e * EP / E (graph/expert_placement.h);
// ESP shard j holds hidden units
// [j * F / ESP, (j + 1) * F / ESP): rows of `in.weight` (gate rows, then up rows, for SwiGLU) and
// of `in.bias`, columns of `out.weight`. `out.bias` is held by shard 0 alone, so that summing the
// shards adds it once.
//
// Values at start are a pure function of (seed, canonical name, canonical index): every layout
// starts from the same model.

namespace weft {

// How a parameter gets its first value, and where its local window sits in the canonical tensor.
struct Initializer {
  double std = 0;  // > 0: normal(0, std); else the constant
  float constant = 0;
  int64_t canonical_columns = 0;
  int64_t first_column = 0;  // local column c is canonical column first_column + c
  int64_t run_rows = 0;  // rows come in up to two runs (gate rows, then up rows) of run_rows each:
  int64_t first_row[2] = {0, 0};  // row i is canonical row first_row[i / run_rows] + i % run_rows
};

struct Parameter {
  std::string name;    // "layers.3.attn.qkv.weight", "layers.3.experts.5.in.weight"
  Shape shape;         // of the local window
  int64_t offset = 0;  // elements from the start of the bucket
  bool decay = false;  // weight decay applies (matrices)
  Initializer init;
};

struct Bucket {
  bool expert = false;
  int32_t layer = -1;  // -1: the outer bucket
  int64_t elements = 0;
  std::vector<Parameter> parameters;
  Buffer value, gradient, adam_m, adam_v;  // fp32, `elements` each

  const Parameter& Find(const std::string& name) const;  // REQUIRES: present
  TensorView Value(const Parameter& p) const;
  TensorView Gradient(const Parameter& p) const;
};

// Hidden units [first, first + count) of ESP shard `esp_index`.
ExpertRange HiddenShardOf(int32_t ffn_hidden_size, int32_t esp, int32_t esp_index);

// What `rank` holds, without any memory behind it: sizes for the planner, names for checkpoints.
struct ParameterCatalog {
  std::vector<Bucket> dense, experts;  // [layer]; experts[i] is empty for a dense layer
  Bucket outer;
  int64_t elements() const;
};
ParameterCatalog MakeParameterCatalog(const ModelSpec& spec, const Layout& layout, RankId rank);

// Adds this rank's shards of the named experts of bucket.layer to a bucket, one after another.
void AddExperts(const ModelSpec& spec, const Layout& layout, RankId rank,
                std::span<const int32_t> experts, Bucket& bucket);
std::string ExpertName(int32_t layer, int32_t expert);  // "layers.3.experts.5"

class Parameters {
 public:
  // Allocates and initialises what `rank` holds. REQUIRES: a validated spec and layout.
  Parameters(const ModelSpec& spec, const Layout& layout, RankId rank, uint64_t seed);

  Bucket& dense(int32_t layer) { return held_.dense[static_cast<size_t>(layer)]; }
  Bucket& experts(int32_t layer) {
    return held_.experts[static_cast<size_t>(layer)];
  }  // empty for a dense layer
  Bucket& outer() { return held_.outer; }
  // All non-empty buckets, in a fixed order: outer, then per layer dense, experts.
  std::vector<Bucket*> all();
  void ZeroGradients();
  int64_t elements() const { return held_.elements(); }  // on this rank

 private:
  ParameterCatalog held_;
};

// Parameters of the whole model, and those a token uses (top_k experts), for MFU and the start-up
// line.
int64_t CountParameters(const ModelSpec& spec);
int64_t CountActiveParameters(const ModelSpec& spec);

}  // namespace weft
