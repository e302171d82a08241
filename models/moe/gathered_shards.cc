#include "models/moe/gathered_shards.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

#include "base/check.h"
#include "base/status_macros.h"
#include "models/op_sizes.h"

namespace weft {
namespace {

// Row `canonical` of a parameter, where it is in one of its windows.
int64_t LocalRow(const Initializer& window, int64_t canonical) {
  int64_t before = 0;
  for (const RowRange& run : window.runs) {
    if (canonical >= run.begin && canonical < run.end) return before + canonical - run.begin;
    before += run.count();
  }
  WEFT_CHECK(false, "the window has the row");
}

}  // namespace

GatheredShards::GatheredShards(const ModelContext& context, Bucket& home, int32_t layer)
    : context_(context),
      home_(home),
      layer_(layer),
      shards_(context.kernels->memory()),
      reduced_(context.kernels->memory()) {
  bucket_.layer = layer;
  bucket_.expert = true;
  bucket_.dtype = home.dtype;
  bucket_.weights() = Buffer(context.kernels->memory());
  bucket_.gradient = Buffer(context.kernels->memory());
}

void GatheredShards::Place(int32_t gathered) {
  gathered_ = gathered;
  bucket_.parameters.clear();
  bucket_.elements = 0;
  rows_.clear();
  joined_.clear();
  parted_.clear();
  if (gathered == 1) return;
  const Layout& layout = context_.layout;
  const ExpertRange held =
      ExpertsOf(context_.spec.moe.num_experts, layout.ep, layout.ep_index(context_.rank));
  const auto experts =
      std::span(home_.homes.by_home())
          .subspan(static_cast<size_t>(held.first), static_cast<size_t>(held.count));
  const int32_t index = layout.esp_index(context_.rank);
  const int32_t part = index / gathered;
  me_ = static_cast<size_t>(index % gathered);
  // Shards [part * gathered, (part + 1) * gathered) of ESP are shard `part` of ESP / gathered.
  Layout parts = layout;
  parts.esp = layout.esp / gathered;
  units_ = HiddenShardOf(context_.spec.ffn_hidden_size, parts.esp, part).count;
  AddExperts(context_.spec, parts, RankId{part}, experts, bucket_);
  bucket_.weights().Ensure(bucket_.dtype, {bucket_.elements});
  bucket_.gradient.Ensure<float>({bucket_.elements});
  int64_t begin = 0;
  for (int32_t j = 0; j < gathered; ++j) {
    Bucket shard;
    shard.layer = layer_;
    AddExperts(context_.spec, layout, RankId{part * gathered + j}, experts, shard);
    AddBlocks(shard, begin);
    rows_.push_back(shard.elements);
    begin += shard.elements;
  }
  shards_.Ensure<float>({begin});
  reduced_.Ensure<float>({own_elements()});
}

void GatheredShards::AddBlocks(const Bucket& shard, int64_t begin) {
  for (const Parameter& p : shard.parameters) {
    const Parameter& whole = bucket_.Find(p.name);
    const int64_t columns = p.init.canonical_columns == 1 ? 1 : p.shape[1];
    const int64_t whole_columns = p.init.canonical_columns == 1 ? 1 : whole.shape[1];
    const int64_t column = p.init.first_column - whole.init.first_column;
    // Rows as wide as in the whole follow each other there, too.
    const int64_t at_once = columns == whole_columns ? std::numeric_limits<int64_t>::max() : 1;
    int64_t from = begin + p.offset;
    for (const RowRange& run : p.init.runs) {
      if (run.count() == 0) continue;
      int64_t to = whole.offset + LocalRow(whole.init, run.begin) * whole_columns + column;
      for (int64_t left = run.count(); left > 0;) {
        const int64_t rows = std::min(left, at_once);
        joined_.push_back({from, to, rows * columns});
        parted_.push_back({to, from, rows * columns});
        from += rows * columns;
        to += rows * whole_columns;
        left -= rows;
      }
    }
  }
}

void GatheredShards::ZeroGradients() {
  context_.kernels->memory().Zero(Numbers(bucket_.gradient, DType::kF32));
}

Communicator& GatheredShards::group() const {
  return gathered_ == context_.layout.esp ? *context_.esp : *context_.esp_near.at(gathered_);
}

absl::Status GatheredShards::Gather(double* size) {
  const int64_t total = std::accumulate(rows_.begin(), rows_.end(), int64_t{0});
  const DType dtype = home_.dtype;
  const TensorView shards = shards_.view(dtype, {total, 1});
  *size = AllGatherBytes(own_elements(), gathered_, dtype);
  WEFT_RETURN_IF_ERROR(group().AllGatherV(
      {.send = home_.weights().view(dtype, {own_elements(), 1}), .recv = shards, .rows = rows_}));
  context_.kernels->CopyRows(shards, joined_, Numbers(bucket_.weights(), dtype));
  return absl::OkStatus();
}

absl::Status GatheredShards::Reduce(double* size) {
  const int64_t total = std::accumulate(rows_.begin(), rows_.end(), int64_t{0});
  *size = ReduceScatterBytes(total, own_elements());
  context_.kernels->CopyRows(Numbers(bucket_.gradient, DType::kF32), parted_,
                             View(shards_.as<float>(), {total, 1}));
  WEFT_RETURN_IF_ERROR(
      group().ReduceScatterV({.send = View(shards_.as<float>(), {total, 1}),
                              .recv = View(reduced_.as<float>(), {own_elements(), 1}),
                              .rows = rows_}));
  const TensorView sum = View(home_.gradient.as<float>(), {own_elements(), 1});
  context_.kernels->Add(sum, View(reduced_.as<float>(), {own_elements(), 1}), sum);
  return absl::OkStatus();
}

}  // namespace weft
