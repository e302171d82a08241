#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "graph/expert_homes.h"
#include "graph/expert_placement.h"
#include "graph/topology.h"
#include "models/model_spec.h"
#include "tensor/device/buffer.h"
#include "tensor/kernels/kernels.h"
#include "tensor/row_range.h"
#include "tensor/view.h"

// The parameters one rank holds, with gradients and optimizer state, in flat buckets: one per layer
// for the dense part (attention, norms, router, shared experts), one per MoE layer for this rank's
// expert shards, and one for what belongs to no layer (embedding, positions, final norm). A bucket
// is what gradient slices and the optimizer work on; a Parameter is a named window of it.
//
// Where MP shares out attention heads, a layer has a bucket of heads too, and its dense bucket
// lacks what is there: member j holds query heads [j * H / MP, (j + 1) * H / MP) and key and value
// heads likewise: three runs of rows of `attn.qkv`, columns of `attn.out.weight`. `attn.out.bias`
// stays dense: it is added to a row where the row is at home. All buckets of heads are equally
// large.
//
// Home e of a layer is on the ranks of ep_index = e * EP / E (graph/expert_placement.h), and the
// expert that lives there is in their buckets; ESP shard j holds hidden units
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
  int64_t canonical_columns = 1;  // of a matrix; a vector's elements are rows of one column
  int64_t first_column = 0;       // local column c is canonical column first_column + c
  std::vector<RowRange> runs;     // canonical rows, as they follow each other locally (gate rows,
                                  // then up rows)
  int64_t CanonicalRow(int64_t row) const;  // REQUIRES: row < rows of all runs
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
  bool heads = false;  // a share of a layer's attention heads: replicated on equal MP indices only
  int32_t layer = -1;  // -1: the outer bucket
  ExpertHomes homes;   // of the layer, where the bucket is of experts at home
  int64_t elements = 0;
  std::vector<Parameter> parameters;
  // fp32, `elements` each, in a memory that the bucket's owner chooses. With ZeRO-1 the moments
  // have those of this rank's shard, and values and gradients room for equal shards
  // (models/update_shard.h).
  Buffer value, gradient, adam_m, adam_v;
  // The weights as products read them: of a bf16 model the values rounded, with the same offsets;
  // of an fp32 model the values themselves, and `rounded` is empty.
  DType dtype = DType::kF32;
  Buffer rounded;

  const Parameter& Find(const std::string& name) const;  // REQUIRES: present
  TensorView Value(const Parameter& p) const;
  TensorView Gradient(const Parameter& p) const;
  TensorView Weight(const Parameter& p) const;
  Buffer& weights() { return dtype == DType::kF32 ? value : rounded; }
  const Buffer& weights() const { return dtype == DType::kF32 ? value : rounded; }
};

// Hidden units [first, first + count) of ESP shard `esp_index`.
ExpertRange HiddenShardOf(int32_t ffn_hidden_size, int32_t esp, int32_t esp_index);

// kInvalidArgument, in one sentence, when MP does not divide the model's attention heads.
absl::Status ValidateHeads(const ModelSpec& spec, const Layout& layout);

// What `rank` holds, without any memory behind it: sizes for the planner, names for checkpoints.
struct ParameterCatalog {
  // [layer]; heads[i] is empty without MP, experts[i] for a dense layer.
  std::vector<Bucket> dense, heads, experts;
  Bucket outer;
  int64_t elements() const;
};
ParameterCatalog MakeParameterCatalog(const ModelSpec& spec, const Layout& layout, RankId rank);

// Adds this rank's shards of the named experts of bucket.layer to a bucket, one after another.
void AddExperts(const ModelSpec& spec, const Layout& layout, RankId rank,
                std::span<const int32_t> experts, Bucket& bucket);
std::string ExpertName(int32_t layer, int32_t expert);  // "layers.3.experts.5"
// Names the experts of a bucket, one after another by home, as they live. The bucket has as many
// elements and the same windows whoever lives there; what is in them is not touched.
void SettleExperts(const ModelSpec& spec, const Layout& layout, RankId rank,
                   const ExpertHomes& homes, Bucket& bucket);

class Parameters {
 public:
  // Allocates and initialises what `rank` holds. REQUIRES: a validated spec and layout.
  Parameters(const ModelSpec& spec, const Layout& layout, RankId rank, uint64_t seed,
             Memory& memory = HostMemory());

  Bucket& dense(int32_t layer) { return held_.dense[static_cast<size_t>(layer)]; }
  // Whoever has the layer's qkv and output projection: its heads, or without MP its dense part.
  Bucket& attention(int32_t layer) {
    Bucket& heads = held_.heads[static_cast<size_t>(layer)];
    return heads.elements > 0 ? heads : dense(layer);
  }
  Bucket& experts(int32_t layer) {
    return held_.experts[static_cast<size_t>(layer)];
  }  // empty for a dense layer
  Bucket& outer() { return held_.outer; }
  // All non-empty buckets, in a fixed order: outer, then per layer dense, heads, experts.
  std::vector<Bucket*> all();
  int32_t num_layers() const { return static_cast<int32_t>(held_.dense.size()); }
  void ZeroGradients();
  // The weights of a bf16 model, from the values: after these have come from elsewhere than the
  // optimizer.
  void Round(Kernels& kernels);
  int64_t elements() const { return held_.elements(); }  // on this rank

 private:
  Memory& memory_;
  ParameterCatalog held_;
};

// Parameters of the whole model, and those a token uses (top_k experts), for MFU and the start-up
// line.
int64_t CountParameters(const ModelSpec& spec);
int64_t CountActiveParameters(const ModelSpec& spec);

}  // namespace weft
