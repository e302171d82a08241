#include "models/moe/expert_shard.h"

#include <algorithm>

#include "models/op_sizes.h"

namespace weft {

ExpertShard::ExpertShard(const ModelContext& context, ExpertScratch& scratch)
    : context_(context),
      scratch_(scratch),
      dtype_(context.spec.dtype()),
      width_(context.spec.hidden_size),
      all_(memory()),
      dy_(memory()),
      d_pre_(memory()) {}

void ExpertShard::Employ(GroupedFfn experts) {
  experts_ = std::move(experts);
  rows_.resize(experts_.size());
}

double ExpertShard::Flops(int64_t rows) const {
  return experts_.size() == 0 ? 0.0 : ExpertFlops(context_.spec, experts_.hidden_units(), rows);
}

void ExpertShard::Prepare(int32_t forward_degree) {
  while (chunks_.size() < static_cast<size_t>(forward_degree)) chunks_.emplace_back(memory());
}

TensorView ExpertShard::RowsOf(const Buffer& buffer, RowRange rows, int64_t width) const {
  return Rows(buffer.view(dtype_, {rows.end, width}), rows);
}

TensorView ExpertShard::Scratch(Buffer& buffer, int64_t room, int64_t rows, int64_t width) const {
  buffer.Ensure(dtype_, {room, width});
  return RowsOf(buffer, {0, rows}, width);
}

void ExpertShard::Ensure(Kept& kept, int64_t rows) const {
  kept.x.Ensure(dtype_, {rows, width_});
  kept.pre.Ensure(dtype_, {rows, experts_.pre_width()});
  kept.act.Ensure(dtype_, {rows, experts_.hidden_units()});
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

void ExpertShard::AddBlock(int64_t from, int64_t to, int64_t count) {
  if (count == 0) return;
  if (!blocks_.empty()) {
    RowBlock& last = blocks_.back();
    if (last.from + last.count == from && last.to + last.count == to) {
      last.count += count;
      return;
    }
  }
  blocks_.push_back({from, to, count});
}

void ExpertShard::CountRows(const ArrivalOrder& arrival, int32_t chunk) {
  for (size_t e = 0; e < rows_.size(); ++e)
    rows_[e] = arrival.kept_rows(chunk, static_cast<int32_t>(e)).count();
}

void ExpertShard::Collect(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView arrived,
                          TensorView kept) {
  blocks_.clear();
  for (size_t e = 0; e < experts_.size(); ++e) {
    for (const RowRun& run : arrival.runs(chunk, static_cast<int32_t>(e)))
      AddBlock(run.arrival, run.kept, run.rows.count());
  }
  context_.kernels->CopyRows(arrived, blocks_, kept);
}

void ExpertShard::Spread(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView kept,
                         TensorView arrived) {
  blocks_.clear();
  for (size_t e = 0; e < experts_.size(); ++e) {
    for (const RowRun& run : arrival.runs(chunk, static_cast<int32_t>(e)))
      AddBlock(run.kept, run.arrival, run.rows.count());
  }
  context_.kernels->CopyRows(kept, blocks_, arrived);
}

void ExpertShard::ReserveBackward(int64_t rows) {
  dy_.Ensure(dtype_, {rows, width_});
  d_pre_.Ensure(dtype_, {rows, experts_.pre_width()});
}

std::optional<TensorView> ExpertShard::PlaceOfInput(const ArrivalOrder& arrival,
                                                    int32_t chunk) const {
  if (!arrival.arrives_in_kept_order(chunk)) return std::nullopt;
  return KeptRows(&Kept::x, chunk, {0, arrival.arrival_rows(chunk)}, width_);
}

double ExpertShard::Forward(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView input,
                            TensorView output) {
  const int64_t rows = arrival.arrival_rows(chunk);
  const auto kept = [&](Buffer Kept::*of, int64_t width) {
    return KeptRows(of, chunk, {0, rows}, width);
  };
  const TensorView x = kept(&Kept::x, width_);
  const bool in_order = arrival.arrives_in_kept_order(chunk);
  const TensorView y = in_order ? output : Scratch(scratch_.y, std::max(room_, rows), rows, width_);
  CountRows(arrival, chunk);
  if (input.data != x.data) Collect(arrival, chunk, input, x);
  experts_.Forward(*context_.kernels, rows_, x, kept(&Kept::pre, experts_.pre_width()),
                   kept(&Kept::act, experts_.hidden_units()), y);
  if (!in_order) Spread(arrival, chunk, y, output);
  return Flops(rows);
}

void ExpertShard::AddKeptBlocks(const ArrivalOrder& forward, int32_t chunk, int32_t expert,
                                std::span<const RowRange> rows, int64_t to) {
  const std::span<const RowRun> runs = forward.runs(chunk, expert);
  for (size_t source = 0; source < runs.size(); ++source) {
    const RowRun& run = runs[source];
    const int64_t begin = std::max(rows[source].begin, run.rows.begin);
    const int64_t end = std::min(rows[source].end, run.rows.end);
    if (begin < end) {
      AddBlock(run.kept + begin - run.rows.begin, to + begin - rows[source].begin, end - begin);
    }
    to += rows[source].count();
  }
}

template <typename RowsOfExpert>
ConstTensorView ExpertShard::FindKept(const ExpertOrders& orders, Buffer Kept::*of, int64_t width,
                                      int64_t rows, RowsOfExpert rows_of, Buffer& scratch) {
  const auto copied = [&] { return Scratch(scratch, orders.saved.total_rows(), rows, width); };
  for (int32_t chunk = 0; chunk < orders.forward.degree(); ++chunk) {
    blocks_.clear();
    int64_t first = 0;
    for (size_t i = 0; i < experts_.size(); ++i) {
      const auto e = static_cast<int32_t>(i);
      rows_of(e);
      AddKeptBlocks(orders.forward, chunk, e, ranges_, first);
      for (const RowRange& range : ranges_) first += range.count();
    }
    if (blocks_.empty()) continue;
    const int64_t from = blocks_.front().from;
    if (blocks_.front().count == rows) return KeptRows(of, chunk, {from, from + rows}, width);
    const RowRange all = {0, orders.forward.arrival_rows(chunk)};
    context_.kernels->CopyRows(KeptRows(of, chunk, all, width), blocks_, copied());
  }
  return copied();
}

void ExpertShard::FindSaved(const ExpertOrders& orders, int32_t chunk) {
  blocks_.clear();
  for (size_t i = 0; i < experts_.size(); ++i) {
    const auto e = static_cast<int32_t>(i);
    const std::span<const RowRun> runs = orders.backward.runs(chunk, e);
    for (size_t source = 0; source < runs.size(); ++source) {
      const RowRange taken = runs[source].rows;
      AddBlock(runs[source].kept, orders.saved.begin(e, source) + taken.begin, taken.count());
    }
  }
}

std::optional<RowRange> ExpertShard::SavedRows(const ExpertOrders& orders, int32_t chunk) {
  FindSaved(orders, chunk);
  if (blocks_.size() > 1) return std::nullopt;
  if (blocks_.empty()) return RowRange{};
  return RowRange{blocks_.front().to, blocks_.front().to + blocks_.front().count};
}

std::optional<TensorView> ExpertShard::PlaceOfOutputGradient(const ExpertOrders& orders,
                                                             int32_t chunk) {
  if (!orders.backward.arrives_in_kept_order(chunk)) return std::nullopt;
  const std::optional<RowRange> saved = SavedRows(orders, chunk);
  if (!saved.has_value()) return std::nullopt;
  return RowsOf(dy_, *saved, width_);
}

double ExpertShard::Backward(const ExpertOrders& orders, int32_t chunk, ConstTensorView d_output,
                             TensorView d_input) {
  const ArrivalOrder& arrival = orders.backward;
  const int64_t rows = arrival.arrival_rows(chunk);
  const int64_t pre_width = experts_.pre_width();
  const auto room = [&](Buffer& buffer, int64_t width) {
    return Scratch(buffer, orders.saved.total_rows(), rows, width);
  };
  const RowRange all = {0, orders.saved.total_rows()};
  const TensorView all_dy = RowsOf(dy_, all, width_);
  const TensorView all_d_pre = RowsOf(d_pre_, all, pre_width);

  CountRows(arrival, chunk);
  const bool in_order = arrival.arrives_in_kept_order(chunk);
  const std::optional<RowRange> saved = SavedRows(orders, chunk);
  ConstTensorView dy = d_output;
  if (saved.has_value() || !in_order) {
    const TensorView collected =
        saved.has_value() ? Rows(all_dy, *saved) : room(scratch_.dy, width_);
    if (d_output.data != collected.data) Collect(arrival, chunk, d_output, collected);
    dy = collected;
  }
  if (!saved.has_value()) {
    FindSaved(orders, chunk);
    context_.kernels->CopyRows(dy, blocks_, all_dy);
  }
  const TensorView dx = in_order ? d_input : room(scratch_.dx, width_);
  const ConstTensorView pre = FindKept(
      orders, &Kept::pre, pre_width, rows,
      [&](int32_t expert) {
        ranges_.clear();
        for (const RowRun& run : arrival.runs(chunk, expert)) ranges_.push_back(run.rows);
      },
      scratch_.pre);
  const TensorView d_act = room(scratch_.d_act, experts_.hidden_units());
  const TensorView d_pre =
      saved.has_value() ? Rows(all_d_pre, *saved) : room(scratch_.d_pre, pre_width);
  experts_.BackwardData(*context_.kernels, rows_, dy, pre, d_act, d_pre, dx);
  if (!saved.has_value()) {
    FindSaved(orders, chunk);
    context_.kernels->CopyRows(d_pre, blocks_, all_d_pre);
  }
  if (!in_order) Spread(arrival, chunk, dx, d_input);
  return Flops(rows);
}

ConstTensorView ExpertShard::AllKept(const ExpertOrders& orders, Buffer Kept::*of, int64_t width,
                                     Buffer& scratch) {
  return FindKept(
      orders, of, width, orders.saved.total_rows(),
      [&](int32_t expert) {
        ranges_.clear();
        for (size_t source = 0; source < orders.forward.runs(0, expert).size(); ++source) {
          ranges_.push_back(
              {0, orders.saved.begin(expert, source + 1) - orders.saved.begin(expert, source)});
        }
      },
      scratch);
}

double ExpertShard::BackwardWeights(const ExpertOrders& orders) {
  const RowRange all = {0, orders.saved.total_rows()};
  for (size_t e = 0; e < rows_.size(); ++e)
    rows_[e] = orders.saved.rows(static_cast<int32_t>(e)).count();
  experts_.BackwardWeight(*context_.kernels, rows_, RowsOf(dy_, all, width_),
                          AllKept(orders, &Kept::act, experts_.hidden_units(), scratch_.d_act),
                          RowsOf(d_pre_, all, experts_.pre_width()),
                          AllKept(orders, &Kept::x, width_, scratch_.dx));
  return Flops(all.count());
}

}  // namespace weft
