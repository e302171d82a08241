#include "models/moe/exchange.h"

#include <algorithm>

#include "base/status_macros.h"
#include "models/moe/ep_shape.h"
#include "models/op_sizes.h"

namespace weft {

TokenExchange::TokenExchange(const ModelContext& context, ExchangeBuffers& buffers)
    : context_(context),
      buffers_(buffers),
      shape_(EpShape(context.topology, context.layout, context.rank)) {}

size_t TokenExchange::sources() const {
  return static_cast<size_t>(parts()) * static_cast<size_t>(context_.layout.ep) *
         static_cast<size_t>(local_slots_);
}

Communicator& TokenExchange::rows_group() const {
  return gathered_ == 1 ? *context_.esp : *context_.esp_far.at(parts());
}

Layout TokenExchange::rows_layout() const {
  Layout layout = context_.layout;
  layout.esp = parts();
  return layout;
}

void TokenExchange::Place(const ExpertPlacement& placement, int32_t gathered) {
  placement_ = &placement;
  gathered_ = gathered;
  local_slots_ = placement.slots_on(shape_.me);
  most_slots_ = 0;
  for (int32_t m = 0; m < placement.members(); ++m)
    most_slots_ = std::max(most_slots_, placement.slots_on(m));
  taken_.resize(sources());
  total_.resize(sources());
}

void TokenExchange::Prepare(const LayerCut& cut, AllToAllAlgorithm algorithm) {
  cut_ = &cut;
  algorithm_ = shape_.flat() ? AllToAllAlgorithm::kDirect : algorithm;
  const Layout& layout = context_.layout;
  const int32_t part = layout.esp_index(context_.rank) / gathered_;
  forward_.Prepare(rows_layout(), local_slots_, part, cut.of(Direction::kForward).degree);
  backward_.Prepare(rows_layout(), local_slots_, part, cut.of(Direction::kBackward).degree);
  all_.assign(static_cast<size_t>(cut.segments()) * sources(), 0);
  counts_.resize(static_cast<size_t>(cut.of(Direction::kForward).pieces()));
  for (size_t piece = 0; piece < counts_.size(); ++piece) {
    Counts& counts = counts_[piece];
    const int64_t segments =
        cut.segments_of(Direction::kForward, static_cast<int32_t>(piece)).count();
    counts.sent.resize(static_cast<size_t>(segments * placement_->slots()));
    counts.send_rows.clear();
    for (int32_t p = 0; p < layout.ep; ++p)
      counts.send_rows.push_back(segments * placement_->slots_on(p));
    counts.recv_rows.assign(static_cast<size_t>(layout.ep), segments * local_slots_);
    counts.from_ep.resize(static_cast<size_t>(layout.ep * segments * local_slots_));
    counts.from_all.resize(static_cast<size_t>(layout.esp) * counts.from_ep.size());
    if (!passes_on()) continue;
    counts.own.resize(counts.sent.size() + counts.from_ep.size());
    counts.node_rows.clear();
    int64_t all = 0;
    for (int j = 0; j < shape_.members_per_node; ++j) {
      const int32_t held = placement_->slots_on(shape_.member(shape_.node(), j));
      counts.node_rows.push_back(segments * (placement_->slots() + layout.ep * held));
      all += counts.node_rows.back();
    }
    counts.from_node.resize(static_cast<size_t>(all));
  }
  if (in_steps()) {
    steps_[0].resize(static_cast<size_t>(forward_.degree()));
    steps_[1].resize(static_cast<size_t>(backward_.degree()));
  }
  if (!passes_on()) return;
  const auto segments = static_cast<size_t>(cut.segments());
  node_sent_.resize(static_cast<size_t>(shape_.members_per_node));
  node_received_.resize(node_sent_.size());
  for (size_t j = 0; j < node_sent_.size(); ++j) {
    node_sent_[j].assign(segments * static_cast<size_t>(placement_->slots()), 0);
    node_received_[j].assign(segments * static_cast<size_t>(layout.ep * most_slots_), 0);
  }
}

absl::Status TokenExchange::CountsAllToAll(int32_t piece, std::span<const int32_t> counts,
                                           double* size) {
  Counts& c = counts_[static_cast<size_t>(piece)];
  const RowRange segments = cut_->segments_of(Direction::kForward, piece);
  auto to = c.sent.begin();
  for (int32_t p = 0; p < context_.layout.ep; ++p) {
    for (int64_t s = segments.begin; s < segments.end; ++s) {
      to = std::copy_n(counts.begin() + s * placement_->slots() + placement_->first_slot(p),
                       placement_->slots_on(p), to);
    }
  }
  const auto sent = static_cast<int64_t>(c.sent.size());
  *size = AllToAllBytes(sent - segments.count() * local_slots_);
  return context_.ep->AllToAllV(
      {.send = View(c.sent.data(), {sent, 1}),
       .send_rows = c.send_rows,
       .recv = View(c.from_ep.data(), {static_cast<int64_t>(c.from_ep.size()), 1}),
       .recv_rows = c.recv_rows});
}

absl::Status TokenExchange::CountsNodeGather(int32_t piece, std::span<const int32_t> counts,
                                             double* size) {
  Counts& c = counts_[static_cast<size_t>(piece)];
  const RowRange segments = cut_->segments_of(Direction::kForward, piece);
  const int64_t sent = segments.count() * placement_->slots();
  const auto received =
      std::copy_n(counts.begin() + segments.begin * placement_->slots(), sent, c.own.begin());
  std::copy(c.from_ep.begin(), c.from_ep.end(), received);
  const auto own = static_cast<int64_t>(c.own.size());
  *size = AllGatherBytes(own, shape_.members_per_node);
  WEFT_RETURN_IF_ERROR(context_.ep_node->AllGatherV(
      {.send = View(c.own.data(), {own, 1}),
       .recv = View(c.from_node.data(), {static_cast<int64_t>(c.from_node.size()), 1}),
       .rows = c.node_rows}));
  const int32_t* from = c.from_node.data();
  for (size_t j = 0; j < node_sent_.size(); ++j) {
    const int32_t held = placement_->slots_on(shape_.member(shape_.node(), static_cast<int>(j)));
    std::copy_n(from, sent, node_sent_[j].begin() + segments.begin * placement_->slots());
    from += sent;
    for (int64_t source = 0; source < context_.layout.ep; ++source) {
      for (int64_t s = segments.begin; s < segments.end; ++s) {
        std::copy_n(from, held,
                    node_received_[j].begin() + (s * context_.layout.ep + source) * most_slots_);
        from += held;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status TokenExchange::CountsAllGather(int32_t piece, std::span<const int32_t> counts,
                                            double* size) {
  Counts& c = counts_[static_cast<size_t>(piece)];
  const auto own = static_cast<int64_t>(c.from_ep.size());
  if (context_.layout.ep == 1) {
    const RowRange segments = cut_->segments_of(Direction::kForward, piece);
    std::copy_n(counts.begin() + segments.begin * local_slots_, own, c.from_ep.begin());
  }
  *size = AllGatherBytes(own, context_.layout.esp);
  return context_.esp->AllGather(View(c.from_ep.data(), {own}),
                                 View(c.from_all.data(), {own * context_.layout.esp}));
}

void TokenExchange::CountsKnown(int32_t piece, std::span<const int32_t> counts) {
  const Layout& layout = context_.layout;
  const Counts& c = counts_[static_cast<size_t>(piece)];
  const RowRange segments = cut_->segments_of(Direction::kForward, piece);
  const auto local = static_cast<size_t>(local_slots_);
  const auto ep = static_cast<size_t>(layout.ep);
  const size_t peers = static_cast<size_t>(parts()) * ep;
  const auto gathered = static_cast<size_t>(gathered_);
  const size_t place = static_cast<size_t>(layout.esp_index(context_.rank)) % gathered;
  const auto count = static_cast<size_t>(segments.count());
  for (size_t s = 0; s < count; ++s) {
    const size_t segment = static_cast<size_t>(segments.begin) + s;
    int32_t* to = all_.data() + segment * sources();
    for (size_t peer = 0; peer < peers; ++peer) {  // [parts][ep]
      const int32_t* from = nullptr;
      if (layout.esp > 1) {
        const size_t member = peer / ep * gathered + place;  // of the ESP group
        from = c.from_all.data() + ((member * ep + peer % ep) * count + s) * local;
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
  }
  if (segments.end < cut_->segments()) return;
  for (int32_t chunk = 0; chunk < backward_.degree(); ++chunk)
    AppendChunk(Direction::kBackward, chunk);
  std::fill(total_.begin(), total_.end(), 0);
  for (size_t i = 0; i < all_.size(); ++i) total_[i % sources()] += all_[i];
  saved_.Build(total_, rows_layout(), local_slots_);
}

void TokenExchange::AppendChunk(Direction direction, int32_t chunk) {
  for (size_t i = 0; i < sources(); ++i) {
    taken_[i] = cut_->rows(direction, chunk, std::span(all_).subspan(i), sources());
  }
  (direction == Direction::kForward ? forward_ : backward_).Append(chunk, taken_);
}

void TokenExchange::PrepareChunk(const SendOrder& order, Direction direction, int32_t chunk) {
  const ArrivalOrder& arriving = arrival(direction);
  buffers_.Reserve(chunk, arriving.received_rows(chunk), arriving.arrival_rows(chunk));
  if (!in_steps()) return;
  const auto rows = [&](int source, int destination) {
    if (source == shape_.me) return order.rows_to(chunk)[static_cast<size_t>(destination)];
    if (destination == shape_.me) return arriving.rows_from(chunk)[static_cast<size_t>(source)];
    return RowsBetween(direction, chunk, source, destination);
  };
  ChunkSteps& steps = StepsOf(direction, chunk);
  steps.dispatch.Build(algorithm_, shape_, rows);
  steps.combine.Build(algorithm_, shape_,
                      [&](int source, int destination) { return rows(destination, source); });
  for (size_t which = 0; which < 2; ++which) {
    buffers_.ReserveStaging(
        chunk, which,
        std::max(steps.dispatch.staging_rows(which), steps.combine.staging_rows(which)));
  }
}

int64_t TokenExchange::RowsBetween(Direction direction, int32_t chunk, int source,
                                   int destination) const {
  const bool sent_here = shape_.node_of(source) == shape_.node();
  const int member = (sent_here ? source : destination) % shape_.members_per_node;
  const std::vector<int32_t>& counts =
      (sent_here ? node_sent_ : node_received_)[static_cast<size_t>(member)];
  const auto first = static_cast<size_t>(sent_here ? placement_->first_slot(destination)
                                                   : int32_t{source} * most_slots_);
  const auto stride =
      static_cast<size_t>(sent_here ? placement_->slots() : context_.layout.ep * most_slots_);
  int64_t rows = 0;
  for (int32_t e = 0; e < placement_->slots_on(destination); ++e) {
    const auto of_expert = std::span(counts).subspan(first + static_cast<size_t>(e));
    rows += cut_->rows(direction, chunk, of_expert, stride).count();
  }
  return rows;
}

ExchangeViews TokenExchange::ViewsOf(int32_t chunk, ConstTensorView input,
                                     TensorView output) const {
  return {input,
          output,
          {buffers_.staging(chunk, 0), buffers_.staging(chunk, 1)},
          context_.kernels->memory()};
}

absl::Status TokenExchange::RunSteps(const ExchangePlan& plan, int32_t step,
                                     const ExchangeViews& views, double* size) {
  const ExchangeStep& of = plan.steps()[static_cast<size_t>(step)];
  Communicator* tier = of.tier == ExchangeTier::kGroup       ? context_.ep
                       : of.tier == ExchangeTier::kIntraNode ? context_.ep_node
                                                             : context_.ep_peers;
  const ExchangeTraffic traffic = plan.Traffic(
      static_cast<size_t>(step), context_.spec.hidden_size * SizeOf(context_.spec.dtype()));
  *size = std::max(traffic.sent_bytes(), traffic.received_bytes);
  return RunStep(of, views, *tier);
}

ConstTensorView TokenExchange::ExpertInput(Direction direction, int32_t chunk) const {
  return buffers_.gathered(chunk, arrival(direction).arrival_rows(chunk), joined());
}

TensorView TokenExchange::ExpertOutput(const SendOrder& order, Direction direction, int32_t chunk,
                                       TensorView returned) const {
  return buffers_.partial(chunk, arrival(direction).arrival_rows(chunk),
                          Rows(returned, order.chunk_begin(chunk), order.chunk_rows(chunk)),
                          joined());
}

absl::Status TokenExchange::Dispatch(const SendOrder& order, Direction direction, int32_t chunk,
                                     int32_t step, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t sent = order.chunk_rows(chunk), received = arriving.received_rows(chunk);
  const TensorView input = buffers_.send(chunk, sent);
  const TensorView output = buffers_.received(chunk, received);
  if (in_steps()) {
    return RunSteps(StepsOf(direction, chunk).dispatch, step, ViewsOf(chunk, input, output), size);
  }
  const auto me = static_cast<size_t>(shape_.me);
  const int64_t own = order.rows_to(chunk)[me];
  *size = AllToAllBytes((std::max(sent, received) - own) * context_.spec.hidden_size,
                        context_.spec.dtype());
  return context_.ep->AllToAllV({.send = input,
                                 .send_rows = order.rows_to(chunk),
                                 .recv = output,
                                 .recv_rows = arriving.rows_from(chunk)});
}

absl::Status TokenExchange::EspAllGather(Direction direction, int32_t chunk, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t own = arriving.received_rows(chunk);
  *size = AllGatherBytes(own * context_.spec.hidden_size, parts(), context_.spec.dtype());
  if (!joined()) return absl::OkStatus();
  return rows_group().AllGatherV(
      {.send = buffers_.received(chunk, own),
       .recv = buffers_.gathered(chunk, arriving.arrival_rows(chunk), true),
       .rows = arriving.rows_gathered(chunk)});
}

absl::Status TokenExchange::EspReduceScatter(const SendOrder& order, Direction direction,
                                             int32_t chunk, TensorView returned, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t own = arriving.received_rows(chunk);
  const int64_t all = arriving.arrival_rows(chunk);
  const TensorView back = Rows(returned, order.chunk_begin(chunk), order.chunk_rows(chunk));
  *size = ReduceScatterBytes(all * context_.spec.hidden_size, own * context_.spec.hidden_size,
                             context_.spec.dtype());
  if (!joined()) return absl::OkStatus();
  return rows_group().ReduceScatterV({.send = buffers_.partial(chunk, all, back, true),
                                      .recv = buffers_.reduced(chunk, own, back, true),
                                      .rows = arriving.rows_gathered(chunk)});
}

absl::Status TokenExchange::Combine(const SendOrder& order, Direction direction, int32_t chunk,
                                    int32_t step, TensorView returned, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t sent = arriving.received_rows(chunk), received = order.chunk_rows(chunk);
  const TensorView output = Rows(returned, order.chunk_begin(chunk), received);
  const TensorView input = buffers_.reduced(chunk, sent, output, joined());
  if (in_steps()) {
    return RunSteps(StepsOf(direction, chunk).combine, step, ViewsOf(chunk, input, output), size);
  }
  const auto me = static_cast<size_t>(shape_.me);
  const int64_t own = order.rows_to(chunk)[me];
  *size = AllToAllBytes((std::max(sent, received) - own) * context_.spec.hidden_size,
                        context_.spec.dtype());
  return context_.ep->AllToAllV({.send = input,
                                 .send_rows = arriving.rows_from(chunk),
                                 .recv = output,
                                 .recv_rows = order.rows_to(chunk)});
}

}  // namespace weft
