#include "models/moe/expert_shard.h"

#include <algorithm>

#include "models/op_sizes.h"

namespace weft {
TensorView ExpertShard::RowsOf(const Buffer& buffer, RowRange rows, int64_t width) const {
  const TensorView all = buffer.view(dtype_, {rows.end, width});
  return Rows(all, rows.begin, rows.count());
}

ExpertShard::ExpertShard(const ModelContext& context)
    : context_(context),
      dtype_(context.spec.dtype()),
      width_(context.spec.hidden_size),
      all_(memory()),
      dy_(memory()),
      d_pre_(memory()),
      chunk_y_(memory()),
      chunk_dy_(memory()),
      chunk_dx_(memory()),
      chunk_pre_(memory()),
      chunk_d_act_(memory()),
      chunk_d_pre_(memory()) {}

void ExpertShard::Employ(std::vector<Ffn> experts, int64_t units) {
  experts_ = std::move(experts);
  units_ = units;
  pre_width_ = context_.spec.backbone == Backbone::kMixtral ? 2 * units : units;
}

double ExpertShard::Flops(int64_t rows) const {
  return experts_.empty() ? 0.0 : ExpertFlops(context_.spec, units_, rows);
}

void ExpertShard::Prepare(int32_t forward_degree) {
  while (chunks_.size() < static_cast<size_t>(forward_degree)) chunks_.emplace_back(memory());
}

void ExpertShard::Ensure(Kept& kept, int64_t rows) const {
  kept.x.Ensure(dtype_, {rows, width_});
  kept.pre.Ensure(dtype_, {rows, pre_width_});
  kept.act.Ensure(dtype_, {rows, units_});
}

void ExpertShard::StartForward(int64_t rows) {
  kept_rows_ = 0;
  room_ = std::max({room_, rows, most_kept_});
  Ensure(all_, room_);
}

void ExpertShard::KeepChunk(int32_t chunk, int64_t rows) {
  KeptChunk& kept = chunks_[static_cast<size_t>(chunk)];
  kept.begin = kept_rows_;
  kept_rows_ += rows;
  most_kept_ = std::max(most_kept_, kept_rows_);
  // More than ever before: the chunks before it are at work, all_ must not move.
  kept.apart = kept_rows_ > room_;
  if (kept.apart) Ensure(kept.own, rows);
}

TensorView ExpertShard::KeptRows(Buffer Kept::*of, int32_t chunk, RowRange rows,
                                 int64_t width) const {
  const KeptChunk& kept = chunks_[static_cast<size_t>(chunk)];
  const int64_t begin = rows.begin + (kept.apart ? 0 : kept.begin);
  return RowsOf(kept.apart ? kept.own.*of : all_.*of, {begin, begin + rows.count()}, width);
}

void ExpertShard::Collect(std::span<const RowRun> runs, ConstTensorView arrived, TensorView to) {
  blocks_.clear();
  int64_t row = 0;
  for (const RowRun& run : runs) {
    blocks_.push_back({run.arrival, row, run.rows.count()});
    row += run.rows.count();
  }
  context_.kernels->CopyRows(arrived, blocks_, to);
}

void ExpertShard::Spread(std::span<const RowRun> runs, ConstTensorView from, TensorView arrived) {
  blocks_.clear();
  int64_t row = 0;
  for (const RowRun& run : runs) {
    blocks_.push_back({row, run.arrival, run.rows.count()});
    row += run.rows.count();
  }
  context_.kernels->CopyRows(from, blocks_, arrived);
}

void ExpertShard::ReserveBackward(int64_t rows) {
  dy_.Ensure(dtype_, {rows, width_});
  d_pre_.Ensure(dtype_, {rows, pre_width_});
}

double ExpertShard::Forward(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView input,
                            TensorView output) {
  const auto kept = [&](Buffer Kept::*of, const RowRange& rows, int64_t width) {
    return KeptRows(of, chunk, rows, width);
  };
  chunk_y_.Ensure(dtype_, {most_rows_, width_});
  for (size_t i = 0; i < experts_.size(); ++i) {
    const auto e = static_cast<int32_t>(i);
    const RowRange rows = arrival.kept_rows(chunk, e);
    if (rows.count() == 0) continue;
    const TensorView x = kept(&Kept::x, rows, width_);
    const TensorView y = chunk_y_.Ensure(dtype_, {rows.count(), width_});
    Collect(arrival.runs(chunk, e), input, x);
    experts_[i].Forward(*context_.kernels, x, kept(&Kept::pre, rows, pre_width_),
                        kept(&Kept::act, rows, units_), y);
    Spread(arrival.runs(chunk, e), y, output);
  }
  return Flops(arrival.arrival_rows(chunk));
}

void ExpertShard::CollectKept(const ArrivalOrder& forward, Buffer Kept::*of, int32_t expert,
                              std::span<const RowRange> rows, int64_t width, TensorView to) {
  for (int32_t chunk = 0; chunk < forward.degree(); ++chunk) {
    const std::span<const RowRun> runs = forward.runs(chunk, expert);
    blocks_.clear();
    int64_t first = 0, end_of_chunk = 0;
    for (size_t source = 0; source < runs.size(); ++source) {
      const RowRun& run = runs[source];
      const int64_t begin = std::max(rows[source].begin, run.rows.begin);
      const int64_t end = std::min(rows[source].end, run.rows.end);
      if (begin < end) {
        const int64_t from = run.kept + begin - run.rows.begin;
        blocks_.push_back({from, first + begin - rows[source].begin, end - begin});
        end_of_chunk = from + end - begin;
      }
      first += rows[source].count();
    }
    if (blocks_.empty()) continue;
    context_.kernels->CopyRows(KeptRows(of, chunk, {0, end_of_chunk}, width), blocks_, to);
  }
}

double ExpertShard::Backward(const ExpertOrders& orders, int32_t chunk, ConstTensorView d_output,
                             TensorView d_input) {
  const ArrivalOrder& arrival = orders.backward;
  // Room for an expert's rows of the whole layer, which every cut fits into.
  for (size_t i = 0; i < experts_.size(); ++i)
    most_rows_ = std::max(most_rows_, orders.saved.rows(static_cast<int32_t>(i)).count());
  chunk_dy_.Ensure(dtype_, {most_rows_, width_});
  chunk_dx_.Ensure(dtype_, {most_rows_, width_});
  chunk_pre_.Ensure(dtype_, {most_rows_, pre_width_});
  chunk_d_pre_.Ensure(dtype_, {most_rows_, pre_width_});
  chunk_d_act_.Ensure(dtype_, {most_rows_, units_});
  for (size_t i = 0; i < experts_.size(); ++i) {
    const auto e = static_cast<int32_t>(i);
    const int64_t rows = arrival.kept_rows(chunk, e).count();
    if (rows == 0) continue;
    const auto runs = arrival.runs(chunk, e);
    const TensorView dy = chunk_dy_.Ensure(dtype_, {rows, width_});
    const TensorView dx = chunk_dx_.Ensure(dtype_, {rows, width_});
    const TensorView pre = chunk_pre_.Ensure(dtype_, {rows, pre_width_});
    const TensorView d_pre = chunk_d_pre_.Ensure(dtype_, {rows, pre_width_});
    const TensorView d_act = chunk_d_act_.Ensure(dtype_, {rows, units_});
    Collect(runs, d_output, dy);
    ranges_.clear();
    for (const RowRun& run : runs) ranges_.push_back(run.rows);
    CollectKept(orders.forward, &Kept::pre, e, ranges_, pre_width_, pre);
    experts_[i].BackwardData(*context_.kernels, dy, pre, d_act, d_pre, dx);
    Spread(runs, dx, d_input);
    blocks_.clear();
    int64_t row = 0;
    for (size_t source = 0; source < runs.size(); ++source) {
      const RowRange taken = runs[source].rows;
      blocks_.push_back({row, orders.saved.begin(e, source) + taken.begin, taken.count()});
      row += taken.count();
    }
    const RowRange saved = {0, orders.saved.total_rows()};
    context_.kernels->CopyRows(dy, blocks_, RowsOf(dy_, saved, width_));
    context_.kernels->CopyRows(d_pre, blocks_, RowsOf(d_pre_, saved, pre_width_));
  }
  return Flops(arrival.arrival_rows(chunk));
}

TensorView ExpertShard::AllKept(const ExpertOrders& orders, Buffer Kept::*of, int32_t expert,
                                int64_t width, Buffer& scratch) {
  const RowRange rows = orders.saved.rows(expert);
  if (orders.forward.degree() == 1) return KeptRows(of, 0, rows, width);
  const TensorView all = scratch.Ensure(dtype_, {rows.count(), width});
  const size_t sources = orders.forward.runs(0, expert).size();
  ranges_.clear();
  for (size_t source = 0; source < sources; ++source) {
    ranges_.push_back(
        {0, orders.saved.begin(expert, source + 1) - orders.saved.begin(expert, source)});
  }
  CollectKept(orders.forward, of, expert, ranges_, width, all);
  return all;
}

double ExpertShard::BackwardWeights(const ExpertOrders& orders) {
  for (size_t i = 0; i < experts_.size(); ++i) {
    const auto e = static_cast<int32_t>(i);
    const RowRange rows = orders.saved.rows(e);
    if (rows.count() == 0) continue;
    experts_[i].BackwardWeight(*context_.kernels, RowsOf(dy_, rows, width_),
                               AllKept(orders, &Kept::act, e, units_, chunk_d_act_),
                               RowsOf(d_pre_, rows, pre_width_),
                               AllKept(orders, &Kept::x, e, width_, chunk_dx_));
  }
  return Flops(orders.saved.total_rows());
}

}  // namespace weft
