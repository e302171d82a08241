#include "models/moe/exchange.h"

#include <algorithm>

#include "base/status_macros.h"
#include "models/op_sizes.h"
#include "models/parameters.h"

namespace weft {

TokenExchange::TokenExchange(const ModelContext& context, ExchangeBuffers& buffers)
    : context_(context), buffers_(buffers) {
  const Layout& layout = context.layout;
  local_experts_ =
      ExpertsOf(context.spec.moe.num_experts, layout.ep, layout.ep_index(context.rank)).count;
  taken_.resize(sources());
  total_.resize(sources());
}

size_t TokenExchange::sources() const {
  return static_cast<size_t>(context_.layout.esp) * static_cast<size_t>(context_.layout.ep) *
         static_cast<size_t>(local_experts_);
}

void TokenExchange::Prepare(const LayerCut& cut) {
  cut_ = &cut;
  const Layout& layout = context_.layout;
  const int32_t esp_index = layout.esp_index(context_.rank);
  forward_.Prepare(layout, local_experts_, esp_index, cut.of(Direction::kForward).degree);
  backward_.Prepare(layout, local_experts_, esp_index, cut.of(Direction::kBackward).degree);
  all_.assign(static_cast<size_t>(cut.segments()) * sources(), 0);
  counts_.resize(static_cast<size_t>(cut.of(Direction::kForward).pieces()));
  for (size_t piece = 0; piece < counts_.size(); ++piece) {
    Counts& counts = counts_[piece];
    const int64_t segments =
        cut.segments_of(Direction::kForward, static_cast<int32_t>(piece)).count();
    const int64_t experts = context_.spec.moe.num_experts;
    counts.sent.resize(static_cast<size_t>(segments * experts));
    counts.send_rows.clear();
    for (int32_t p = 0; p < layout.ep; ++p)
      counts.send_rows.push_back(segments *
                                 ExpertsOf(context_.spec.moe.num_experts, layout.ep, p).count);
    counts.recv_rows.assign(static_cast<size_t>(layout.ep), segments * local_experts_);
    counts.from_ep.resize(static_cast<size_t>(layout.ep * segments * local_experts_));
    counts.from_all.resize(static_cast<size_t>(layout.esp) * counts.from_ep.size());
  }
}

absl::Status TokenExchange::CountsAllToAll(int32_t piece, std::span<const int32_t> counts,
                                           double* size) {
  Counts& c = counts_[static_cast<size_t>(piece)];
  const RowRange segments = cut_->segments_of(Direction::kForward, piece);
  const int32_t experts = context_.spec.moe.num_experts;
  auto to = c.sent.begin();
  for (int32_t p = 0; p < context_.layout.ep; ++p) {
    const ExpertRange range = ExpertsOf(experts, context_.layout.ep, p);
    for (int64_t s = segments.begin; s < segments.end; ++s) {
      to = std::copy_n(counts.begin() + s * experts + range.first, range.count, to);
    }
  }
  const auto sent = static_cast<int64_t>(c.sent.size());
  *size = AllToAllBytes(sent - segments.count() * local_experts_);
  return context_.ep->AllToAllV(
      {.send = View(c.sent.data(), {sent, 1}),
       .send_rows = c.send_rows,
       .recv = View(c.from_ep.data(), {static_cast<int64_t>(c.from_ep.size()), 1}),
       .recv_rows = c.recv_rows});
}

absl::Status TokenExchange::CountsAllGather(int32_t piece, std::span<const int32_t> counts,
                                            double* size) {
  Counts& c = counts_[static_cast<size_t>(piece)];
  const auto own = static_cast<int64_t>(c.from_ep.size());
  if (context_.layout.ep == 1) {
    const RowRange segments = cut_->segments_of(Direction::kForward, piece);
    std::copy_n(counts.begin() + segments.begin * local_experts_, own, c.from_ep.begin());
  }
  *size = AllGatherBytes(own, context_.layout.esp);
  return context_.esp->AllGather(View(c.from_ep.data(), {own}),
                                 View(c.from_all.data(), {own * context_.layout.esp}));
}

void TokenExchange::CountsKnown(int32_t piece, std::span<const int32_t> counts) {
  const Layout& layout = context_.layout;
  const Counts& c = counts_[static_cast<size_t>(piece)];
  const RowRange segments = cut_->segments_of(Direction::kForward, piece);
  const auto local = static_cast<size_t>(local_experts_);
  const auto peers = static_cast<size_t>(layout.ep * layout.esp);
  const auto count = static_cast<size_t>(segments.count());
  for (size_t s = 0; s < count; ++s) {
    const size_t segment = static_cast<size_t>(segments.begin) + s;
    int32_t* to = all_.data() + segment * sources();
    for (size_t peer = 0; peer < peers; ++peer) {  // [esp][ep]
      const int32_t* from = nullptr;
      if (layout.esp > 1) {
        from = c.from_all.data() + (peer * count + s) * local;
      } else if (layout.ep > 1) {
        from = c.from_ep.data() + (peer * count + s) * local;
      } else {
        from = counts.data() + segment * local;
      }
      std::copy_n(from, local, to + peer * local);
    }
  }
  const RowRange chunks = cut_->chunks_of(Direction::kForward, piece);
  for (auto chunk = static_cast<int32_t>(chunks.begin); chunk < chunks.end; ++chunk) {
    AppendChunk(Direction::kForward, chunk);
    buffers_.Reserve(chunk, forward_.received_rows(chunk), forward_.arrival_rows(chunk));
  }
  if (segments.end < cut_->segments()) return;
  for (int32_t chunk = 0; chunk < backward_.degree(); ++chunk)
    AppendChunk(Direction::kBackward, chunk);
  std::fill(total_.begin(), total_.end(), 0);
  for (size_t i = 0; i < all_.size(); ++i) total_[i % sources()] += all_[i];
  saved_.Build(total_, layout, local_experts_);
}

void TokenExchange::AppendChunk(Direction direction, int32_t chunk) {
  for (size_t i = 0; i < sources(); ++i) {
    taken_[i] = cut_->rows(direction, chunk, std::span(all_).subspan(i), sources());
  }
  (direction == Direction::kForward ? forward_ : backward_).Append(chunk, taken_);
}

void TokenExchange::ReserveBackward(int32_t chunk) {
  buffers_.Reserve(chunk, backward_.received_rows(chunk), backward_.arrival_rows(chunk));
}

ConstTensorView TokenExchange::ExpertInput(Direction direction, int32_t chunk) const {
  return buffers_.gathered(chunk, arrival(direction).arrival_rows(chunk));
}

TensorView TokenExchange::ExpertOutput(const SendOrder& order, Direction direction, int32_t chunk,
                                       TensorView returned) const {
  return buffers_.partial(chunk, arrival(direction).arrival_rows(chunk),
                          Rows(returned, order.chunk_begin(chunk), order.chunk_rows(chunk)));
}

absl::Status TokenExchange::Dispatch(const SendOrder& order, Direction direction, int32_t chunk,
                                     double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t to_me =
      order.rows_to(chunk)[static_cast<size_t>(context_.layout.ep_index(context_.rank))];
  *size = AllToAllBytes((order.chunk_rows(chunk) - to_me) * context_.spec.hidden_size);
  return context_.ep->AllToAllV({.send = buffers_.send(chunk, order.chunk_rows(chunk)),
                                 .send_rows = order.rows_to(chunk),
                                 .recv = buffers_.received(chunk, arriving.received_rows(chunk)),
                                 .recv_rows = arriving.rows_from(chunk)});
}

absl::Status TokenExchange::EspAllGather(Direction direction, int32_t chunk, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t own = arriving.received_rows(chunk);
  *size = AllGatherBytes(own * context_.spec.hidden_size, context_.layout.esp);
  return context_.esp->AllGatherV({.send = buffers_.received(chunk, own),
                                   .recv = buffers_.gathered(chunk, arriving.arrival_rows(chunk)),
                                   .rows = arriving.rows_gathered(chunk)});
}

absl::Status TokenExchange::EspReduceScatter(const SendOrder& order, Direction direction,
                                             int32_t chunk, TensorView returned, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t own = arriving.received_rows(chunk);
  const int64_t all = arriving.arrival_rows(chunk);
  const TensorView back = Rows(returned, order.chunk_begin(chunk), order.chunk_rows(chunk));
  *size = ReduceScatterBytes(all * context_.spec.hidden_size, own * context_.spec.hidden_size);
  return context_.esp->ReduceScatterV({.send = buffers_.partial(chunk, all, back),
                                       .recv = buffers_.reduced(chunk, own, back),
                                       .rows = arriving.rows_gathered(chunk)});
}

absl::Status TokenExchange::Combine(const SendOrder& order, Direction direction, int32_t chunk,
                                    TensorView returned, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const auto me = static_cast<size_t>(context_.layout.ep_index(context_.rank));
  const int64_t own = arriving.received_rows(chunk);
  const TensorView back = Rows(returned, order.chunk_begin(chunk), order.chunk_rows(chunk));
  *size = AllToAllBytes((own - arriving.rows_from(chunk)[me]) * context_.spec.hidden_size);
  return context_.ep->AllToAllV({.send = buffers_.reduced(chunk, own, back),
                                 .send_rows = arriving.rows_from(chunk),
                                 .recv = back,
                                 .recv_rows = order.rows_to(chunk)});
}

}  // namespace weft
