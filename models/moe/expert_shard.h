#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "models/model_context.h"
#include "models/moe/expert_scratch.h"
#include "models/moe/grouped_ffn.h"
#include "models/moe/routing.h"
#include "models/parameters.h"
#include "tensor/device/buffer.h"

namespace weft {

// What expert rows meet on one direction's way through this rank.
struct ExpertOrders {
  const ArrivalOrder& forward;
  const ArrivalOrder& backward;
  const SavedOrder& saved;
};

// This rank's shards of the experts of one layer that it works for: "local experts" are its slots
// (graph/expert_placement.h). Rows come chunk by chunk in arrival order. The
// forward keeps inputs, pre-activations and activations by chunk, in kept order; the backward saves
// its gradients in saved order, which no cut changes, and finds the forward's rows by block. So any
// cut of the backward meets any cut of the forward, and dW is one product per expert over all its
// rows in [source, token] order. Rows that stand in the other order already are not copied:
// those of one source, those of an uncut layer.
class ExpertShard {
 public:
  ExpertShard(const ModelContext& context, ExpertScratch& scratch);

  // Between steps: whom this rank works for, by slot, and into how many chunks the forward is cut.
  void Employ(GroupedFfn experts);
  void Prepare(int32_t forward_degree);
  // Room for the rows that the counts announced. StartForward before the first chunk of a forward,
  // with the rows that are known then: nothing of the layer runs. KeepChunk for every chunk, in
  // order, before it runs. ReserveBackward before the backward's first chunk.
  void StartForward(int64_t rows);
  void KeepChunk(int32_t chunk, int64_t rows);
  void ReserveBackward(int64_t rows);

  // Where a chunk's input, or the gradient of its output, is kept, if it arrives in the order in
  // which it is: Forward and Backward do not copy what stands there already. After the counts of
  // the chunk, for the gradient those of the layer.
  std::optional<TensorView> PlaceOfInput(const ArrivalOrder& arrival, int32_t chunk) const;
  std::optional<TensorView> PlaceOfOutputGradient(const ExpertOrders& orders, int32_t chunk);

  // Experts' partial outputs for one chunk. input, output: the chunk's rows in arrival order,
  // [rows, hidden]. Returns the FLOPs done (the regressor).
  double Forward(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView input,
                 TensorView output);
  // Gradients of the chunk's inputs from the gradients of its outputs.
  double Backward(const ExpertOrders& orders, int32_t chunk, ConstTensorView d_output,
                  TensorView d_input);
  // dW of all experts, over all rows of the layer. REQUIRES: every chunk's Backward has ended.
  double BackwardWeights(const ExpertOrders& orders);

 private:
  // Rows of the three tensors that the forward keeps.
  struct Kept {
    explicit Kept(Memory& memory) : x(memory), pre(memory), act(memory) {}
    Buffer x, pre, act;
  };
  // Where a chunk's rows are: from row `begin` on of all_, or, when more came than all_ has room
  // for, in memory of its own.
  struct KeptChunk {
    explicit KeptChunk(Memory& memory) : own(memory) {}
    int64_t begin = 0;
    bool apart = false;
    Kept own;
  };
  Memory& memory() const { return context_.kernels->memory(); }
  void Ensure(Kept& kept, int64_t rows) const;
  TensorView RowsOf(const Buffer& buffer, RowRange rows, int64_t width) const;
  // The first rows of a buffer that has room for `room`: all of a layer, which every cut fits into.
  TensorView Scratch(Buffer& buffer, int64_t room, int64_t rows, int64_t width) const;
  // Rows of a chunk, in kept order.
  TensorView KeptRows(Buffer Kept::*of, int32_t chunk, RowRange rows, int64_t width) const;
  double Flops(int64_t rows) const;
  // rows_: of every expert in a chunk.
  void CountRows(const ArrivalOrder& arrival, int32_t chunk);
  // A chunk's rows from arrival order to kept order, and back.
  void Collect(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView arrived,
               TensorView kept);
  void Spread(const ArrivalOrder& arrival, int32_t chunk, ConstTensorView kept, TensorView arrived);
  // One more block to copy, or some more rows of the last.
  void AddBlock(int64_t from, int64_t to, int64_t count);
  // Of what a chunk of the forward kept of an expert: rows rows[source] of its blocks, which stand
  // one source after another from row `to` on.
  void AddKeptBlocks(const ArrivalOrder& forward, int32_t chunk, int32_t expert,
                     std::span<const RowRange> rows, int64_t to);
  // Some of the rows that the forward kept, expert by expert: `rows` of them, where they were kept
  // if they stand there one after another, else copied into `scratch`. rows_of(expert) leaves in
  // ranges_ which, by source.
  template <typename RowsOfExpert>
  ConstTensorView FindKept(const ExpertOrders& orders, Buffer Kept::*of, int64_t width,
                           int64_t rows, RowsOfExpert rows_of, Buffer& scratch);
  // All rows, in saved order.
  ConstTensorView AllKept(const ExpertOrders& orders, Buffer Kept::*of, int64_t width,
                          Buffer& scratch);
  // blocks_ becomes a chunk's rows of the backward, from kept order to saved order.
  void FindSaved(const ExpertOrders& orders, int32_t chunk);
  // The chunk's rows in saved order, if they stand one after another in the order of the chunk.
  std::optional<RowRange> SavedRows(const ExpertOrders& orders, int32_t chunk);

  const ModelContext& context_;
  ExpertScratch& scratch_;
  const DType dtype_;
  const int64_t width_;
  GroupedFfn experts_;
  Kept all_;                       // chunk after chunk
  std::vector<KeptChunk> chunks_;  // of the forward
  int64_t room_ = 0;               // rows of all_
  int64_t kept_rows_ = 0;          // of this forward so far
  int64_t most_kept_ = 0;          // of any forward
  Buffer dy_, d_pre_;              // saved order
  // Of the copy that is being made.
  std::vector<RowBlock> blocks_;
  std::vector<RowRange> ranges_;
  std::vector<int64_t> rows_;  // of every expert in the call that is being made
};

}  // namespace weft
