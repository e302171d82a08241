#pragma once

#include <span>
#include <utility>
#include <vector>

#include "models/model_context.h"
#include "models/moe/routing.h"
#include "models/parameters.h"
#include "models/transformer/ffn.h"
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
// rows in [source, token] order.
class ExpertShard {
 public:
  explicit ExpertShard(const ModelContext& context);

  // Between steps: whom this rank works for, by slot, and into how many chunks the forward is cut.
  // `units`: hidden units of each.
  void Employ(std::vector<Ffn> experts, int64_t units);
  void Prepare(int32_t forward_degree);
  // Room for the rows that the counts announced. StartForward before the first chunk of a forward,
  // with the rows that are known then: nothing of the layer runs. KeepChunk for every chunk, in
  // order, before it runs. ReserveBackward before the backward's first chunk.
  void StartForward(int64_t rows);
  void KeepChunk(int32_t chunk, int64_t rows);
  void ReserveBackward(int64_t rows);

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
  // Rows of a chunk, in kept order.
  TensorView KeptRows(Buffer Kept::*of, int32_t chunk, RowRange rows, int64_t width) const;
  double Flops(int64_t rows) const;
  // Rows of the runs in arrival order -> contiguous rows, and back to their places.
  void Collect(std::span<const RowRun> runs, ConstTensorView arrived, TensorView to);
  void Spread(std::span<const RowRun> runs, ConstTensorView from, TensorView arrived);
  // Rows rows[source] of the blocks of a local expert, one source after another, from what the
  // forward kept.
  void CollectKept(const ArrivalOrder& forward, Buffer Kept::*of, int32_t expert,
                   std::span<const RowRange> rows, int64_t width, TensorView to);
  // All rows of an expert in saved order: where they were kept, or collected into `scratch`.
  TensorView AllKept(const ExpertOrders& orders, Buffer Kept::*of, int32_t expert, int64_t width,
                     Buffer& scratch);

  const ModelContext& context_;
  const DType dtype_;
  std::vector<Ffn> experts_;
  int64_t width_, pre_width_ = 0, units_ = 0;
  Kept all_;                       // chunk after chunk
  std::vector<KeptChunk> chunks_;  // of the forward
  int64_t room_ = 0;               // rows of all_
  int64_t kept_rows_ = 0;          // of this forward so far
  int64_t most_kept_ = 0;          // of any forward
  Buffer dy_, d_pre_;              // saved order
  int64_t most_rows_ = 0;          // of one expert in any layer's backward so far
  // Rows of one expert in one chunk; used by the compute stream only.
  Buffer chunk_y_, chunk_dy_, chunk_dx_, chunk_pre_, chunk_d_act_, chunk_d_pre_;
  // Of the copy that is being made.
  std::vector<RowBlock> blocks_;
  std::vector<RowRange> ranges_;
};

}  // namespace weft
