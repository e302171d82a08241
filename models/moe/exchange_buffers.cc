#include "models/moe/exchange_buffers.h"

#include <algorithm>

namespace weft {
namespace {

// The largest of the degrees that are tried by default: no plan of theirs needs more chunks.
constexpr int32_t kLikelyDegree = 8;

// Twice the expected load: the smallest degree that has this chunk gives it the most rows.
int64_t RowsOfChunk(int64_t source_rows, int32_t chunk) {
  return 2 * source_rows / (chunk + 1) + 1;
}

}  // namespace

ExchangeBuffers::ExchangeBuffers(const ModelContext& context)
    : memory_(context.kernels->memory()),
      ep_(context.layout.ep > 1),
      esp_(context.layout.esp > 1),
      dtype_(context.spec.dtype()),
      width_(context.spec.hidden_size),
      source_rows_(context.batch.tokens() * context.spec.moe.top_k),
      esp_size_(context.layout.esp) {
  Prepare(context.layout.expert_ranks() > 1 ? kLikelyDegree : 1);
}

int64_t ExchangeBuffers::ExpectedBytes(const ModelSpec& spec, const Layout& layout,
                                       const BatchShape& batch) {
  const int64_t source = batch.tokens() * spec.moe.top_k;
  if (layout.expert_ranks() == 1) return 0;
  const bool ep = layout.ep > 1, esp = layout.esp > 1;
  int64_t rows = 0;
  for (int32_t chunk = 0; chunk < kLikelyDegree; ++chunk) {
    const int64_t twice = RowsOfChunk(source, chunk);
    rows += std::min(source, twice) + (ep ? twice : 0) + (esp ? twice * layout.esp : 0) +
            twice * layout.esp + (ep && esp ? twice : 0);
  }
  return rows * spec.hidden_size * SizeOf(spec.dtype());
}

void ExchangeBuffers::Prepare(int32_t degree) {
  while (chunks_.size() < static_cast<size_t>(degree)) chunks_.emplace_back(memory_);
  if (!ep_ && !esp_ && degree == 1) return;
  for (int32_t chunk = 0; chunk < degree; ++chunk) {
    const int64_t twice = RowsOfChunk(source_rows_, chunk);
    ReserveSend(chunk, std::min(source_rows_, twice));
    Reserve(chunk, twice, twice * esp_size_);
  }
}

void ExchangeBuffers::ReserveSend(int32_t chunk, int64_t rows) {
  chunks_[static_cast<size_t>(chunk)].send.Ensure(dtype_, {rows, width_});
}

void ExchangeBuffers::Reserve(int32_t chunk, int64_t received, int64_t arrived) {
  Chunk& c = chunks_[static_cast<size_t>(chunk)];
  if (ep_) c.received.Ensure(dtype_, {received, width_});
  if (esp_) c.gathered.Ensure(dtype_, {arrived, width_});
  if (esp_ || ep_) c.partial.Ensure(dtype_, {arrived, width_});
  if (esp_ && ep_) c.reduced.Ensure(dtype_, {received, width_});
}

void ExchangeBuffers::ReserveStaging(int32_t chunk, size_t which, int64_t rows) {
  chunks_[static_cast<size_t>(chunk)].staging[which].Ensure(dtype_, {rows, width_});
}

TensorView ExchangeBuffers::staging(int32_t chunk, size_t which) const {
  const Buffer& buffer = of(chunk).staging[which];
  return ViewOf(buffer, buffer.capacity_bytes() / (width_ * SizeOf(dtype_)));
}

TensorView ExchangeBuffers::send(int32_t chunk, int64_t rows) const {
  return ViewOf(of(chunk).send, rows);
}

TensorView ExchangeBuffers::received(int32_t chunk, int64_t rows) const {
  return ep_ ? ViewOf(of(chunk).received, rows) : send(chunk, rows);
}

TensorView ExchangeBuffers::gathered(int32_t chunk, int64_t rows, bool joined) const {
  return joined ? ViewOf(of(chunk).gathered, rows) : received(chunk, rows);
}

TensorView ExchangeBuffers::partial(int32_t chunk, int64_t rows, TensorView returned,
                                    bool joined) const {
  return joined || ep_ ? ViewOf(of(chunk).partial, rows) : returned;
}

TensorView ExchangeBuffers::reduced(int32_t chunk, int64_t rows, TensorView returned,
                                    bool joined) const {
  if (!ep_) return returned;
  return ViewOf(joined ? of(chunk).reduced : of(chunk).partial, rows);
}

}  // namespace weft
