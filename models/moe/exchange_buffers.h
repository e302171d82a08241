#pragma once

#include <array>
#include <vector>

#include "models/model_context.h"
#include "tensor/device/buffer.h"

namespace weft {

// Buffers of token rows on their way, a set for every chunk, shared by all MoE layers of a rank and
// by both directions: an operation that fills one runs, by the step graph, after everything that
// read its last contents. Where two layers are cut alike and along the tokens, chunk c of the one
// follows chunk c of the other; otherwise the one begins when the other has ended.
//
//   source:      send ................................................. returned (the layer's own)
//   destination: received -> [ESP gather] gathered -> experts -> partial -> [ESP reduce-scatter]
//   reduced
// A group of one skips its stage: the two neighbouring names are then the same memory. So are those
// of the ESP stages in a step whose layer gathers no rows (`joined` false). Views are
// [rows, hidden] from the start of the chunk's buffer.
class ExchangeBuffers {
 public:
  explicit ExchangeBuffers(const ModelContext& context);
  // What it makes at first: for a rank that exchanges nothing, nothing.
  static int64_t ExpectedBytes(const ModelSpec& spec, const Layout& layout,
                               const BatchShape& batch);

  // Room for the chunks of a layer cut into `degree` or less, for twice the expected load; more is
  // taken when the counts ask for it. Where one rank has all experts, rows of an uncut layer go
  // straight to them. REQUIRES: between steps.
  void Prepare(int32_t degree);
  // Room for a chunk's rows at their source; at their destination before and after the ESP
  // all-gather.
  void ReserveSend(int32_t chunk, int64_t rows);
  void Reserve(int32_t chunk, int64_t received, int64_t arrived);
  // Room for rows that an exchange in steps passes on (comm/hierarchy/exchange_plan.h), of each of
  // its two stages.
  void ReserveStaging(int32_t chunk, size_t which, int64_t rows);

  TensorView send(int32_t chunk, int64_t rows) const;
  TensorView received(int32_t chunk, int64_t rows) const;
  TensorView gathered(int32_t chunk, int64_t rows, bool joined) const;
  // `returned`: the chunk's rows where they come back to.
  TensorView partial(int32_t chunk, int64_t rows, TensorView returned, bool joined) const;
  TensorView reduced(int32_t chunk, int64_t rows, TensorView returned, bool joined) const;

  // All of a chunk's staging buffer.
  TensorView staging(int32_t chunk, size_t which) const;

  int64_t source_rows() const { return source_rows_; }

 private:
  struct Chunk {
    explicit Chunk(Memory& memory)
        : send(memory),
          received(memory),
          gathered(memory),
          partial(memory),
          reduced(memory),
          staging{Buffer(memory), Buffer(memory)} {}
    Buffer send, received, gathered, partial, reduced;
    std::array<Buffer, 2> staging;
  };
  const Chunk& of(int32_t chunk) const { return chunks_[static_cast<size_t>(chunk)]; }
  TensorView ViewOf(const Buffer& buffer, int64_t rows) const {
    return buffer.view(dtype_, {rows, width_});
  }

  Memory& memory_;
  const bool ep_, esp_;
  const DType dtype_;
  const int64_t width_;
  const int64_t source_rows_;  // tokens * top_k: the most a rank can send
  const int32_t esp_size_;
  std::vector<Chunk> chunks_;
};

}  // namespace weft
