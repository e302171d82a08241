#include "models/parameters.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/random.h"
#include "models/update_shard.h"

namespace weft {
namespace {

void Add(Bucket& bucket, const std::string& name, const Shape& shape, bool decay,
         const Initializer& init) {
  bucket.parameters.push_back({name, shape, bucket.elements, decay, init});
  bucket.elements += shape.elements();
}

using Runs = std::vector<RowRange>;

int64_t CountOf(const Runs& runs) {
  int64_t count = 0;
  for (const RowRange& run : runs) count += run.count();
  return count;
}

// Some rows of a matrix of `columns`.
void AddRows(Bucket& bucket, const std::string& name, const Runs& rows, int64_t columns,
             double std) {
  Add(bucket, name, {CountOf(rows), columns}, true,
      {.std = std, .canonical_columns = columns, .runs = rows});
}

// Some columns of a matrix of rows x columns.
void AddColumns(Bucket& bucket, const std::string& name, int64_t rows, int64_t columns,
                RowRange window, double std) {
  Add(bucket, name, {rows, window.count()}, true,
      {.std = std,
       .canonical_columns = columns,
       .first_column = window.begin,
       .runs = {{0, rows}}});
}

void AddMatrix(Bucket& bucket, const std::string& name, int64_t rows, int64_t columns, double std) {
  AddRows(bucket, name, {{0, rows}}, columns, std);
}

void AddVector(Bucket& bucket, const std::string& name, const Runs& runs, float value) {
  Add(bucket, name, {CountOf(runs)}, false, {.constant = value, .runs = runs});
}

bool Biased(const ModelSpec& spec) { return spec.backbone == Backbone::kGpt2; }
double OutputStd(const ModelSpec& spec) { return spec.init_std / std::sqrt(2.0 * spec.num_layers); }

void AddNorm(Bucket& bucket, const ModelSpec& spec, const std::string& name) {
  const Runs width = {{0, spec.hidden_size}};
  AddVector(bucket, absl::StrCat(name, ".weight"), width, 1.0f);
  if (Biased(spec)) AddVector(bucket, absl::StrCat(name, ".bias"), width, 0.0f);
}

// The two matrices of an FFN of `ffn` hidden units: all of these, or those of one shard.
void AddFfn(Bucket& bucket, const ModelSpec& spec, const std::string& name, int64_t ffn,
            const ExpertRange& hidden, bool holds_out_bias) {
  const int64_t width = spec.hidden_size;
  const RowRange units = {hidden.first, hidden.first + hidden.count};
  Runs in = {units};
  if (spec.backbone == Backbone::kMixtral) in.push_back({ffn + units.begin, ffn + units.end});
  AddRows(bucket, absl::StrCat(name, ".in.weight"), in, width, spec.init_std);
  if (Biased(spec)) AddVector(bucket, absl::StrCat(name, ".in.bias"), {units}, 0.0f);
  AddColumns(bucket, absl::StrCat(name, ".out.weight"), width, ffn, units, OutputStd(spec));
  if (Biased(spec) && holds_out_bias)
    AddVector(bucket, absl::StrCat(name, ".out.bias"), {{0, width}}, 0.0f);
}

void AddWholeFfn(Bucket& bucket, const ModelSpec& spec, const std::string& name, int32_t ffn) {
  AddFfn(bucket, spec, name, ffn, {0, ffn}, true);
}

// The projections of the heads of one of `mp` shares.
void AddHeads(Bucket& bucket, const ModelSpec& spec, int32_t mp, int32_t mp_index) {
  const std::string prefix = absl::StrCat("layers.", bucket.layer, ".attn.");
  const int64_t width = spec.hidden_size;
  const int64_t keys = static_cast<int64_t>(spec.num_kv_heads) * spec.head_dim();
  const RowRange q = ChunkOf(width, mp_index, mp);
  const RowRange kv = ChunkOf(keys, mp_index, mp);
  const int64_t k_begin = width;
  const int64_t v_begin = width + keys;
  const Runs qkv = {
      q, {k_begin + kv.begin, k_begin + kv.end}, {v_begin + kv.begin, v_begin + kv.end}};
  AddRows(bucket, prefix + "qkv.weight", qkv, width, spec.init_std);
  if (Biased(spec)) AddVector(bucket, prefix + "qkv.bias", qkv, 0.0f);
  AddColumns(bucket, prefix + "out.weight", width, width, q, OutputStd(spec));
}

Bucket HeadsBucket(const ModelSpec& spec, const Layout& layout, RankId rank, int32_t layer) {
  Bucket bucket;
  bucket.heads = true;
  bucket.layer = layer;
  AddHeads(bucket, spec, layout.mp, layout.mp_index(rank));
  return bucket;
}

Bucket DenseBucket(const ModelSpec& spec, const Layout& layout, int32_t layer) {
  Bucket bucket;
  bucket.layer = layer;
  const std::string prefix = absl::StrCat("layers.", layer, ".");
  const int64_t width = spec.hidden_size;
  AddNorm(bucket, spec, prefix + "attn_norm");
  if (layout.mp == 1) AddHeads(bucket, spec, 1, 0);
  if (Biased(spec)) AddVector(bucket, prefix + "attn.out.bias", {{0, width}}, 0.0f);
  AddNorm(bucket, spec, prefix + "ffn_norm");
  if (spec.is_moe_layer(layer)) {
    AddMatrix(bucket, prefix + "router.weight", spec.moe.num_experts, width, spec.init_std);
    if (spec.moe.shared_experts > 0)
      AddWholeFfn(bucket, spec, prefix + "shared_experts", spec.shared_hidden_size());
  } else {
    AddWholeFfn(bucket, spec, prefix + "ffn", spec.ffn_hidden_size);
  }
  return bucket;
}

Bucket ExpertBucket(const ModelSpec& spec, const Layout& layout, RankId rank, int32_t layer) {
  Bucket bucket;
  bucket.layer = layer;
  bucket.expert = true;
  SettleExperts(spec, layout, rank, ExpertHomes(spec.moe.num_experts), bucket);
  return bucket;
}

Bucket OuterBucket(const ModelSpec& spec) {
  Bucket bucket;
  AddMatrix(bucket, "embed.weight", spec.vocab_size, spec.hidden_size, spec.init_std);
  if (spec.backbone == Backbone::kGpt2) {
    AddMatrix(bucket, "positions.weight", spec.max_sequence_length, spec.hidden_size,
              spec.init_std);
  }
  AddNorm(bucket, spec, "final_norm");
  return bucket;
}

void Fill(const Parameter& p, uint64_t seed, float* data) {
  if (p.init.std <= 0) {
    for (int64_t i = 0; i < p.shape.elements(); ++i) data[i] = p.init.constant;
    return;
  }
  const CounterRng rng(seed, p.name);
  const int64_t columns = p.shape[1];
  for (int64_t row = 0; row < p.shape[0]; ++row) {
    const int64_t start = p.init.CanonicalRow(row) * p.init.canonical_columns + p.init.first_column;
    for (int64_t c = 0; c < columns; ++c) {
      data[row * columns + c] =
          static_cast<float>(p.init.std) * rng.Normal(static_cast<uint64_t>(start + c));
    }
  }
}

}  // namespace

int64_t Initializer::CanonicalRow(int64_t row) const {
  for (const RowRange& run : runs) {
    if (row < run.count()) return run.begin + row;
    row -= run.count();
  }
  WEFT_CHECK(false, "the row is in a run");
}

const Parameter& Bucket::Find(const std::string& name) const {
  for (const Parameter& p : parameters) {
    if (p.name == name) return p;
  }
  CheckFailed(__FILE__, __LINE__, "parameter is in the bucket", name);
}

TensorView Bucket::Value(const Parameter& p) const {
  return View(value.as<float>() + p.offset, p.shape);
}

TensorView Bucket::Gradient(const Parameter& p) const {
  return View(gradient.as<float>() + p.offset, p.shape);
}

TensorView Bucket::Weight(const Parameter& p) const {
  const TensorView window =
      Elements(weights().view(dtype, {elements}), p.offset, p.shape.elements());
  return {window.data, dtype, p.shape};
}

std::string ExpertName(int32_t layer, int32_t expert) {
  return absl::StrCat("layers.", layer, ".experts.", expert);
}

void AddExperts(const ModelSpec& spec, const Layout& layout, RankId rank,
                std::span<const int32_t> experts, Bucket& bucket) {
  const ExpertRange hidden =
      HiddenShardOf(spec.ffn_hidden_size, layout.esp, layout.esp_index(rank));
  for (const int32_t e : experts) {
    AddFfn(bucket, spec, ExpertName(bucket.layer, e), spec.ffn_hidden_size, hidden,
           layout.esp_index(rank) == 0);
  }
}

void SettleExperts(const ModelSpec& spec, const Layout& layout, RankId rank,
                   const ExpertHomes& homes, Bucket& bucket) {
  const ExpertRange own = ExpertsOf(spec.moe.num_experts, layout.ep, layout.ep_index(rank));
  bucket.homes = homes;
  bucket.parameters.clear();
  bucket.elements = 0;
  AddExperts(spec, layout, rank,
             std::span(homes.by_home())
                 .subspan(static_cast<size_t>(own.first), static_cast<size_t>(own.count)),
             bucket);
}

ExpertRange HiddenShardOf(int32_t ffn_hidden_size, int32_t esp, int32_t esp_index) {
  const int64_t hidden = ffn_hidden_size;
  const auto first = static_cast<int32_t>(hidden * esp_index / esp);
  const auto last = static_cast<int32_t>(hidden * (esp_index + 1) / esp);
  return {first, last - first};
}

absl::Status ValidateHeads(const ModelSpec& spec, const Layout& layout) {
  if (spec.num_heads % layout.mp == 0 && spec.num_kv_heads % layout.mp == 0)
    return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "tensor parallelism (mp ", layout.mp, ") shares out whole heads: it must divide the ",
      spec.num_heads, " attention heads and the ", spec.num_kv_heads, " key and value heads"));
}

int64_t ParameterCatalog::elements() const {
  int64_t total = outer.elements;
  for (const Bucket& b : dense) total += b.elements;
  for (const Bucket& b : heads) total += b.elements;
  for (const Bucket& b : experts) total += b.elements;
  return total;
}

ParameterCatalog MakeParameterCatalog(const ModelSpec& spec, const Layout& layout, RankId rank) {
  ParameterCatalog catalog;
  catalog.outer = OuterBucket(spec);
  for (int32_t layer = 0; layer < spec.num_layers; ++layer) {
    catalog.dense.push_back(DenseBucket(spec, layout, layer));
    catalog.heads.push_back(layout.mp > 1 ? HeadsBucket(spec, layout, rank, layer) : Bucket{});
    catalog.experts.push_back(spec.is_moe_layer(layer) ? ExpertBucket(spec, layout, rank, layer)
                                                       : Bucket{});
  }
  return catalog;
}

Parameters::Parameters(const ModelSpec& spec, const Layout& layout, RankId rank, uint64_t seed,
                       Memory& memory)
    : memory_(memory), held_(MakeParameterCatalog(spec, layout, rank)) {
  std::vector<float> values;
  for (Bucket* bucket : all()) {
    const UpdateShard shard = UpdateShardOf(layout, rank, *bucket);
    for (Buffer* buffer : {&bucket->value, &bucket->gradient}) {
      *buffer = Buffer(memory);
      buffer->Ensure<float>({shard.padded_elements()});
    }
    bucket->dtype = spec.dtype();
    bucket->rounded = Buffer(memory);
    if (spec.dtype() != DType::kF32)
      bucket->rounded.Ensure(spec.dtype(), {shard.padded_elements()});
    for (Buffer* buffer : {&bucket->adam_m, &bucket->adam_v}) {
      *buffer = Buffer(memory);
      buffer->Ensure<float>({shard.size});
    }
    for (const Parameter& p : bucket->parameters) {
      values.resize(static_cast<size_t>(p.shape.elements()));
      Fill(p, seed, values.data());
      memory.FromHost(View(values.data(), p.shape), bucket->Value(p));
    }
  }
}

std::vector<Bucket*> Parameters::all() {
  std::vector<Bucket*> buckets = {&held_.outer};
  for (size_t layer = 0; layer < held_.dense.size(); ++layer) {
    buckets.push_back(&held_.dense[layer]);
    if (held_.heads[layer].elements > 0) buckets.push_back(&held_.heads[layer]);
    if (held_.experts[layer].elements > 0) buckets.push_back(&held_.experts[layer]);
  }
  return buckets;
}

void Parameters::ZeroGradients() {
  for (Bucket* bucket : all()) {
    memory_.Zero(View(bucket->gradient.as<float>(), {bucket->elements}));
  }
}

void Parameters::Round(Kernels& kernels) {
  for (Bucket* bucket : all()) {
    if (bucket->dtype == DType::kF32) continue;
    const Shape shape = {bucket->elements};
    kernels.Convert(bucket->value.view<float>(shape), bucket->rounded.view(bucket->dtype, shape));
  }
}

int64_t CountParameters(const ModelSpec& spec) {
  return MakeParameterCatalog(spec, Layout{}, RankId{0}).elements();
}

int64_t CountActiveParameters(const ModelSpec& spec) {
  const ParameterCatalog whole = MakeParameterCatalog(spec, Layout{}, RankId{0});
  int64_t total = whole.elements();
  for (const Bucket& experts : whole.experts) {
    total -= experts.elements / spec.moe.num_experts * (spec.moe.num_experts - spec.moe.top_k);
  }
  return total;
}

}  // namespace weft
