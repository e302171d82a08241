#include "models/memory_estimate.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "models/moe/exchange_buffers.h"
#include "models/parameters.h"
#include "models/update_shard.h"

namespace weft {
namespace {

constexpr int64_t kFloat = 4, kInt = 4;

// Numbers of one element size, per token of what the modules keep.
class Activations {
 public:
  Activations(const ModelSpec& spec, const Layout& layout, const BatchShape& batch)
      : spec_(spec),
        layout_(layout),
        element_(SizeOf(spec.dtype())),
        tokens_(batch.tokens()),
        rows_(tokens_ * spec.moe.top_k * layout.esp) {}

  int64_t Bytes() const {
    int64_t bytes = 2 * tokens_ * width() * element_;  // outputs of the last layer, and gradients
    bytes += Norm(tokens_) + tokens_ * (spec_.vocab_size + width()) * element_;  // head
    bool has_experts = false;
    for (int32_t layer = 0; layer < spec_.num_layers; ++layer) {
      bytes += 3 * tokens_ * width() * element_ + Attention();
      has_experts |= spec_.is_moe_layer(layer);
      bytes += spec_.is_moe_layer(layer) ? Moe() : DenseFfn();
    }
    if (layout_.mp > 1) bytes += layout_.mp * tokens_ * width() * element_;
    // Scratch of a cut plan; one rank alone has nothing to gain from a cut.
    const int64_t of_cut = layout_.expert_ranks() == 1 ? 0 : 3 * width() + 2 * pre();
    if (has_experts) bytes += rows_ * (of_cut + units()) * element_;
    return bytes;
  }

 private:
  int64_t width() const { return spec_.hidden_size; }
  int64_t units() const { return HiddenShardOf(spec_.ffn_hidden_size, layout_.esp, 0).count; }
  int64_t pre() const { return Pre(units()); }
  int64_t Pre(int64_t units) const {
    return spec_.backbone == Backbone::kMixtral ? 2 * units : units;
  }
  int64_t Norm(int64_t rows) const { return rows * (width() * element_ + 2 * kFloat); }

  int64_t Attention() const {
    const int64_t heads = spec_.num_heads / layout_.mp;
    const int64_t attended = heads * spec_.head_dim();
    const int64_t kv = 2 * (spec_.num_kv_heads / layout_.mp) * spec_.head_dim();
    int64_t a_row = (2 * (attended + kv) + attended + width()) * element_ + heads * kFloat;
    if (spec_.dtype() != DType::kF32) a_row += kv * kFloat;
    if (layout_.mp > 1) a_row += (attended + 2 * width()) * element_;
    const int64_t rows = layout_.mp * tokens_;
    return Norm(rows) + rows * a_row;
  }
  int64_t DenseFfn() const { return Norm(tokens_) + WholeFfn(spec_.ffn_hidden_size); }
  // Of all tokens, with a gradient of theirs.
  int64_t WholeFfn(int64_t ffn) const {
    return tokens_ * (2 * Pre(ffn) + 2 * ffn + width()) * element_;
  }
  int64_t Moe() const {
    const int64_t experts = spec_.moe.num_experts, k = spec_.moe.top_k;
    const int64_t router = 3 * experts * kFloat + experts * element_ + 3 * k * kFloat +
                           7 * k * kInt + width() * element_;
    const int64_t returned = 2 * k * width() * element_;
    const int64_t kept = (2 * width() + 2 * pre() + units()) * element_;
    const int64_t shared = spec_.moe.shared_experts > 0 ? WholeFfn(spec_.shared_hidden_size()) : 0;
    return Norm(tokens_) + tokens_ * (router + returned) + rows_ * kept + shared;
  }

  const ModelSpec& spec_;
  const Layout& layout_;
  const int64_t element_, tokens_;
  const int64_t rows_;  // that a rank's experts get
};

// What sums of a bucket's gradients over ranks need beside the gradients.
int64_t ReductionElements(const Topology& topology, const Layout& layout, const Bucket& bucket,
                          const UpdateShard& shard) {
  const int32_t local = topology.ranks_per_node / (bucket.heads ? layout.mp : 1);
  const int32_t nodes = topology.num_nodes();
  if (layout.zero_stage == 0) return bucket.expert || local == 1 ? 0 : bucket.elements;
  if (bucket.expert) return layout.edp > 1 ? shard.padded_elements() : 0;
  return (local > 1 ? shard.padded_elements() : 0) + (nodes > 1 ? nodes * shard.size : 0);
}

}  // namespace

MemoryEstimate EstimateMemory(const ModelSpec& spec, const Topology& topology, const Layout& layout,
                              const BatchShape& batch, RankId rank) {
  MemoryEstimate estimate;
  const ParameterCatalog catalog = MakeParameterCatalog(spec, layout, rank);
  const auto add = [&](const Bucket& bucket) {
    if (bucket.elements == 0) return;
    const UpdateShard shard = UpdateShardOf(layout, rank, bucket);
    const int64_t all = shard.padded_elements();
    const int64_t rounded = spec.dtype() == DType::kF32 ? 0 : SizeOf(spec.dtype());
    estimate.parameters += all * (kFloat + rounded) + 2 * shard.size * kFloat;
    estimate.gradients += (all + ReductionElements(topology, layout, bucket, shard)) * kFloat;
  };
  add(catalog.outer);
  for (const std::vector<Bucket>* buckets : {&catalog.dense, &catalog.heads, &catalog.experts}) {
    for (const Bucket& bucket : *buckets) add(bucket);
  }
  estimate.activations = Activations(spec, layout, batch).Bytes();
  estimate.exchange = ExchangeBuffers::ExpectedBytes(spec, layout, batch);
  return estimate;
}

std::string ToString(const MemoryEstimate& estimate) {
  const auto gib = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); };
  return absl::StrFormat(
      "%.2f GiB (parameters %.2f, gradients %.2f, activations %.2f, exchange %.2f)",
      gib(estimate.total()), gib(estimate.parameters), gib(estimate.gradients),
      gib(estimate.activations), gib(estimate.exchange));
}

}  // namespace weft
