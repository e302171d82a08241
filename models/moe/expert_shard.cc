#include "models/moe/expert_shard.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "models/op_sizes.h"

namespace weft {
namespace {

int64_t CountRows(std::span<const RowRun> runs) {
  int64_t rows = 0;
  for (const RowRun& run : runs) rows += run.count;
  return rows;
}

enum class Place { kArrival, kSaved };
int64_t BeginOf(const RowRun& run, Place place) {
  return place == Place::kArrival ? run.arrival : run.saved;
}

void CopyRows(const float* from, int64_t from_row, float* to, int64_t to_row, int64_t rows,
              int64_t width) {
  if (rows == 0) return;
  std::memcpy(to + to_row * width, from + from_row * width,
              static_cast<size_t>(rows * width) * sizeof(float));
}

// Rows of the runs -> contiguous rows.
void Collect(std::span<const RowRun> runs, ConstTensorView from, Place place, TensorView to) {
  int64_t row = 0;
  for (const RowRun& run : runs) {
    CopyRows(from.as<float>(), BeginOf(run, place), to.as<float>(), row, run.count, from.dim(1));
    row += run.count;
  }
}

// Contiguous rows -> rows of the runs.
void Spread(std::span<const RowRun> runs, ConstTensorView from, TensorView to, Place place) {
  int64_t row = 0;
  for (const RowRun& run : runs) {
    CopyRows(from.as<float>(), row, to.as<float>(), BeginOf(run, place), run.count, from.dim(1));
    row += run.count;
  }
}

}  // namespace

ExpertShard::ExpertShard(const ModelContext& context, Bucket& bucket, int32_t layer)
    : context_(context) {
  const Layout& layout = context.layout;
  const ExpertRange held =
      ExpertsOf(context.spec.moe.num_experts, layout.ep, layout.ep_index(context.rank));
  const int64_t units =
      HiddenShardOf(context.spec.ffn_hidden_size, layout.esp, layout.esp_index(context.rank)).count;
  const int64_t width = context.spec.hidden_size;
  const int64_t pre_width = context.spec.backbone == Backbone::kMixtral ? 2 * units : units;
  x_.columns = dy_.columns = width;
  pre_.columns = d_pre_.columns = pre_width;
  act_.columns = units;
  for (int32_t e = held.first; e < held.first + held.count; ++e) {
    experts_.emplace_back(context.spec, bucket, absl::StrCat("layers.", layer, ".experts.", e),
                          units);
  }
}

double ExpertShard::Flops(int64_t rows) const {
  return experts_.empty() ? 0.0 : ExpertFlops(context_.spec, experts_[0].hidden_units(), rows);
}

void ExpertShard::Reserve(const ArrivalOrder& arrival) {
  for (Saved* saved : {&x_, &pre_, &act_, &dy_, &d_pre_}) {
    saved->buffer.Ensure<float>({arrival.total_rows(), saved->columns});
  }
  int64_t most = 0;
  for (size_t e = 0; e < experts_.size(); ++e) {
    most = std::max(most, arrival.saved_rows(static_cast<int32_t>(e)).count());
  }
  chunk_x_.Ensure<float>({most, x_.columns});
  chunk_y_.Ensure<float>({most, x_.columns});
  chunk_pre_.Ensure<float>({most, pre_.columns});
  chunk_d_pre_.Ensure<float>({most, pre_.columns});
  chunk_act_.Ensure<float>({most, act_.columns});
  chunk_d_act_.Ensure<float>({most, act_.columns});
}

double ExpertShard::Forward(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView input,
                            TensorView output) {
  const int64_t saved_rows = arrival.total_rows();
  int64_t done = 0;
  for (size_t e = 0; e < experts_.size(); ++e) {
    const auto runs = arrival.runs(chunk, static_cast<int32_t>(e));
    const int64_t rows = CountRows(runs);
    if (rows == 0) continue;
    const TensorView x = chunk_x_.view<float>({rows, x_.columns});
    const TensorView pre = chunk_pre_.view<float>({rows, pre_.columns});
    const TensorView act = chunk_act_.view<float>({rows, act_.columns});
    const TensorView y = chunk_y_.view<float>({rows, x_.columns});
    Collect(runs, input, Place::kArrival, x);
    experts_[e].Forward(*context_.kernels, x, pre, act, y);
    Spread(runs, y, output, Place::kArrival);
    Spread(runs, x, x_.All(saved_rows), Place::kSaved);
    Spread(runs, pre, pre_.All(saved_rows), Place::kSaved);
    Spread(runs, act, act_.All(saved_rows), Place::kSaved);
    done += rows;
  }
  return Flops(done);
}

double ExpertShard::Backward(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView d_output,
                             TensorView d_input) {
  const int64_t saved_rows = arrival.total_rows();
  int64_t done = 0;
  for (size_t e = 0; e < experts_.size(); ++e) {
    const auto runs = arrival.runs(chunk, static_cast<int32_t>(e));
    const int64_t rows = CountRows(runs);
    if (rows == 0) continue;
    const TensorView dy = chunk_y_.view<float>({rows, x_.columns});
    const TensorView dx = chunk_x_.view<float>({rows, x_.columns});
    const TensorView pre = chunk_pre_.view<float>({rows, pre_.columns});
    const TensorView d_pre = chunk_d_pre_.view<float>({rows, pre_.columns});
    const TensorView d_act = chunk_d_act_.view<float>({rows, act_.columns});
    Collect(runs, d_output, Place::kArrival, dy);
    Collect(runs, pre_.All(saved_rows), Place::kSaved, pre);
    experts_[e].BackwardData(*context_.kernels, dy, pre, d_act, d_pre, dx);
    Spread(runs, dx, d_input, Place::kArrival);
    Spread(runs, dy, dy_.All(saved_rows), Place::kSaved);
    Spread(runs, d_pre, d_pre_.All(saved_rows), Place::kSaved);
    done += rows;
  }
  return Flops(done);
}

double ExpertShard::BackwardWeights(const ArrivalOrder& arrival) {
  const int64_t saved_rows = arrival.total_rows();
  for (size_t e = 0; e < experts_.size(); ++e) {
    const RowRange range = arrival.saved_rows(static_cast<int32_t>(e));
    if (range.count() == 0) continue;
    const auto of = [&](const Saved& saved) {
      return Rows(saved.All(saved_rows), range.begin, range.count());
    };
    experts_[e].BackwardWeight(*context_.kernels, of(dy_), of(act_), of(d_pre_), of(x_));
  }
  return Flops(saved_rows);
}

}  // namespace weft
