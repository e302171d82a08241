#include "models/moe/exchange.h"

#include <algorithm>

#include "base/status_macros.h"
#include "models/op_sizes.h"
#include "models/parameters.h"

namespace weft {

ExchangeBuffers::ExchangeBuffers(const ModelContext& context)
    : context_(context),
      width_(context.spec.hidden_size),
      source_rows_(context.batch.tokens() * context.spec.moe.top_k) {
  send_.Ensure<float>({source_rows_, width_});
  // Room for twice the expected load; more is taken when a counts exchange asks for it.
  const int64_t expected = 2 * source_rows_;
  Reserve(expected, expected * context.layout.esp);
}

void ExchangeBuffers::Reserve(int64_t received, int64_t arrived) {
  if (context_.layout.ep > 1) received_.Ensure<float>({received, width_});
  if (context_.layout.esp > 1) gathered_.Ensure<float>({arrived, width_});
  if (context_.layout.esp > 1 || context_.layout.ep > 1) partial_.Ensure<float>({arrived, width_});
  if (context_.layout.esp > 1 && context_.layout.ep > 1) reduced_.Ensure<float>({received, width_});
}

TensorView ExchangeBuffers::All(const Buffer& buffer) const {
  const int64_t rows = buffer.capacity_bytes() / (width_ * static_cast<int64_t>(sizeof(float)));
  return View(buffer.as<float>(), {rows, width_});
}

TensorView ExchangeBuffers::send() const { return All(send_); }
TensorView ExchangeBuffers::received() const {
  return context_.layout.ep > 1 ? All(received_) : send();
}
TensorView ExchangeBuffers::gathered() const {
  return context_.layout.esp > 1 ? All(gathered_) : received();
}
TensorView ExchangeBuffers::partial(TensorView returned) const {
  return context_.layout.esp > 1 || context_.layout.ep > 1 ? All(partial_) : returned;
}
TensorView ExchangeBuffers::reduced(TensorView returned) const {
  if (context_.layout.ep == 1) return returned;
  return context_.layout.esp > 1 ? All(reduced_) : All(partial_);
}

TokenExchange::TokenExchange(const ModelContext& context, ExchangeBuffers& buffers)
    : context_(context), buffers_(buffers) {
  const Layout& layout = context.layout;
  const int32_t experts = context.spec.moe.num_experts;
  local_experts_ = ExpertsOf(experts, layout.ep, layout.ep_index(context.rank)).count;
  for (int32_t p = 0; p < layout.ep; ++p)
    experts_of_peer_.push_back(ExpertsOf(experts, layout.ep, p).count);
  my_experts_.assign(static_cast<size_t>(layout.ep), local_experts_);
  counts_from_ep_.resize(static_cast<size_t>(layout.ep * local_experts_));
  counts_from_all_.resize(static_cast<size_t>(layout.esp) * counts_from_ep_.size());
}

absl::Status TokenExchange::CountsAllToAll(std::span<const int32_t> counts, double* size) {
  const auto sent = static_cast<int64_t>(counts.size());
  *size = AllToAllBytes(sent - local_experts_);
  return context_.ep->AllToAllV(
      {.send = View(counts.data(), {sent, 1}),
       .send_rows = experts_of_peer_,
       .recv = View(counts_from_ep_.data(), {static_cast<int64_t>(counts_from_ep_.size()), 1}),
       .recv_rows = my_experts_});
}

absl::Status TokenExchange::CountsAllGather(std::span<const int32_t> own_counts, double* size) {
  if (context_.layout.ep == 1)
    std::copy(own_counts.begin(), own_counts.end(), counts_from_ep_.begin());
  const auto own = static_cast<int64_t>(counts_from_ep_.size());
  *size = AllGatherBytes(own, context_.layout.esp);
  return context_.esp->AllGather(View(counts_from_ep_.data(), {own}),
                                 View(counts_from_all_.data(), {own * context_.layout.esp}));
}

void TokenExchange::CountsKnown(std::span<const int32_t> own_counts, int32_t forward_degree,
                                int32_t backward_degree) {
  const Layout& layout = context_.layout;
  if (layout.ep == 1 && layout.esp == 1)
    std::copy(own_counts.begin(), own_counts.end(), counts_from_all_.begin());
  if (layout.ep > 1 && layout.esp == 1) counts_from_all_ = counts_from_ep_;
  const int32_t esp_index = layout.esp_index(context_.rank);
  forward_.Build(counts_from_all_, layout, local_experts_, esp_index, forward_degree);
  backward_.Build(counts_from_all_, layout, local_experts_, esp_index, backward_degree);
  buffers_.Reserve(forward_.received_rows(), forward_.total_rows());
}

absl::Status TokenExchange::Dispatch(const SendOrder& order, Direction direction, int32_t chunk,
                                     double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t to_me =
      order.rows_to(chunk)[static_cast<size_t>(context_.layout.ep_index(context_.rank))];
  *size = AllToAllBytes((order.chunk_rows(chunk) - to_me) * context_.spec.hidden_size);
  return context_.ep->AllToAllV(
      {.send = Rows(buffers_.send(), order.chunk_begin(chunk), order.chunk_rows(chunk)),
       .send_rows = order.rows_to(chunk),
       .recv =
           Rows(buffers_.received(), arriving.received_begin(chunk), arriving.received_rows(chunk)),
       .recv_rows = arriving.rows_from(chunk)});
}

absl::Status TokenExchange::EspAllGather(Direction direction, int32_t chunk, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t own = arriving.received_rows(chunk);
  *size = AllGatherBytes(own * context_.spec.hidden_size, context_.layout.esp);
  return context_.esp->AllGatherV(
      {.send = Rows(buffers_.received(), arriving.received_begin(chunk), own),
       .recv =
           Rows(buffers_.gathered(), arriving.arrival_begin(chunk), arriving.arrival_rows(chunk)),
       .rows = arriving.rows_gathered(chunk)});
}

absl::Status TokenExchange::EspReduceScatter(Direction direction, int32_t chunk,
                                             TensorView returned, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const int64_t own = arriving.received_rows(chunk);
  const int64_t all = arriving.arrival_rows(chunk);
  *size = ReduceScatterBytes(all * context_.spec.hidden_size, own * context_.spec.hidden_size);
  return context_.esp->ReduceScatterV(
      {.send = Rows(buffers_.partial(returned), arriving.arrival_begin(chunk), all),
       .recv = Rows(buffers_.reduced(returned), arriving.received_begin(chunk), own),
       .rows = arriving.rows_gathered(chunk)});
}

absl::Status TokenExchange::Combine(const SendOrder& order, Direction direction, int32_t chunk,
                                    TensorView returned, double* size) {
  const ArrivalOrder& arriving = arrival(direction);
  const auto me = static_cast<size_t>(context_.layout.ep_index(context_.rank));
  *size = AllToAllBytes((arriving.received_rows(chunk) - arriving.rows_from(chunk)[me]) *
                        context_.spec.hidden_size);
  return context_.ep->AllToAllV(
      {.send = Rows(buffers_.reduced(returned), arriving.received_begin(chunk),
                    arriving.received_rows(chunk)),
       .send_rows = arriving.rows_from(chunk),
       .recv = Rows(returned, order.chunk_begin(chunk), order.chunk_rows(chunk)),
       .recv_rows = order.rows_to(chunk)});
}

}  // namespace weft
