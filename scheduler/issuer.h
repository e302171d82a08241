#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "graph/plan.h"
#include "scheduler/plan_draft.h"
#include "scheduler/ready_order.h"
#include "scheduler/schedule.h"
#include "scheduler/step_model.h"

// From a draft's decisions to tasks, in the order in which they are issued before the draft's
// service has its say (issue_order.h).

namespace weft {

enum class Gradients : uint8_t { kIncluded, kLeftOut };

struct IssueOrder {
  std::vector<PlanTask> tasks;  // without predictions
  Schedule schedule;            // of the same tasks
  // Tasks with equal numbers were issued together: the communication of a pipeline between two
  // computations. FillWindows sees them as one piece.
  std::vector<int32_t> group;
};

struct IssuedTasks {
  IssueOrder order;
  std::vector<IntraTask> intra;  // what a service must know of them
};

// Walks the operations of the graph in order, pipelines in one go (stage by stage, so that each
// stream gets D1..Dr, C1..Cr / AG1..AGr, RS1..RSr / E1..Er), and puts slices and delayed dW where
// the draft wants them. An operation that something else needs is issued before it in any case, so
// that the order is always a legal one. Searches issue thousands of drafts: its memory is reused.
class Issuer {
 public:
  // REQUIRES: the model outlives it.
  explicit Issuer(const StepModel& model) : model_(model) {}

  // kLeftOut: as if the model had no gradient chains (to find the windows). Valid until the next
  // call.
  const IssuedTasks& Issue(const PlanDraft& draft, Gradients gradients);
  // What the last call returned, to keep.
  IssuedTasks Take() { return std::move(issued_); }

 private:
  static constexpr int32_t kNoPipeline = -1;

  // Chunk c of an operation is task first + c * stride.
  struct TasksOfOp {
    int32_t first = -1;
    int32_t pieces = 0;
    int32_t stride = 1;
    int32_t of(int32_t chunk) const { return first + chunk * stride; }
  };
  struct Slice {
    int64_t begin = 0;
    int64_t end = 0;
    size_t issued = 0;  // operations of the chain already issued for it
  };
  struct Chain {
    size_t first_slice = 0;  // in slices_
    size_t slices = 0;
    size_t first_task = 0;  // in slice_tasks_
    size_t missing = 0;     // needs not issued yet
    bool flushed = false;
  };
  struct SliceInWindow {
    OpId before;
    size_t chain = 0;
    size_t slice = 0;
  };
  struct PricedSlice {
    int64_t elements = -1;
    double seconds = 0;
  };
  // Chunk c of an operation needs task + c * stride.
  struct NeedOfPiece {
    int32_t task = 0;
    int32_t stride = 0;
  };
  // An operation whose pieces are issued.
  struct Piecewise {
    OpId op;
    StreamKind stream = StreamKind::kCompute;
    double seconds = 0;     // of a piece
    size_t first_need = 0;  // in needs_
    size_t end_need = 0;
    bool scatters = false;          // IntraTask::scatters
    bool ruled = false;             // the rule of the intra-node stream has a say
    int32_t* last_wgrad = nullptr;  // the last dW of the same kind and layer, -1: none
  };

  // The order is found afterwards, from what every task needs.
  bool listed() const { return draft_->service != Service::kInOrder; }
  AllToAllAlgorithm AlgorithmOf(int32_t layer) const {
    return draft_->all_to_alls[static_cast<size_t>(layer)];
  }
  const GradientChain& Model(size_t chain) const { return model_.chains()[chain]; }
  StreamKind StreamOf(const Op& op) const { return StreamUnder(draft_->streams, op.stream); }
  bool Runs(const Op& op) const;
  int32_t PiecesOf(const Op& op) const;
  size_t StepsWhenReady(size_t c) const;
  int32_t& SliceTask(size_t c, size_t s, size_t step);
  double SliceSeconds(OpId op, int64_t elements);

  void Reset();
  void PrepareChains();
  void IssueNext(OpId op);
  void IssuePipeline(const Pipeline& pipeline);
  void IssueOp(OpId id);
  void IssueTogether(std::span<const OpId> ops, int32_t pieces, bool any_order);
  void IssueWindow(OpId before);
  void IssueGather(size_t c);
  void IssueChain(size_t c);
  void AdvanceTo(size_t c, size_t s, size_t steps);
  void FinishSlices();
  void FlushWgrads();
  void FlushChains(const std::vector<size_t>& chains);
  void Flushed(size_t c);
  void Require(std::span<const OpId> needs, int32_t own_pipeline);
  Piecewise Prepare(const Op& op, int32_t pieces);
  void CollectNeeds(const Op& op, int32_t pieces, OpId need);
  void AddPiece(const Piecewise& op, int32_t chunk, int32_t pieces, bool any_order);
  int32_t Add(const PlanTask& task, StreamKind stream, double seconds);
  void MarkDone(OpId id);

  const StepModel& model_;
  const PlanDraft* draft_ = nullptr;
  Gradients gradients_ = Gradients::kIncluded;
  IssuedTasks issued_;
  std::vector<char> done_;           // by operation
  std::vector<TasksOfOp> tasks_of_;  // by operation, of those that are done
  std::vector<Chain> chains_;
  std::vector<Slice> slices_;
  std::vector<int32_t> slice_tasks_;        // chain by chain, slice by slice, step by step
  std::vector<SliceInWindow> windows_;      // by the operation that they stand before
  std::vector<PricedSlice> priced_slices_;  // by operation: the size that was asked for last
  std::vector<OpId> delayed_wgrads_;
  std::vector<int32_t> last_wgrads_;  // by layer and kind: a task, -1: none
  std::vector<Piecewise> together_;   // what is issued now
  std::vector<NeedOfPiece> needs_;    // ... and needs
  int32_t last_intra_ = -1;
  int32_t segment_ = 0;  // of the last task added
  int32_t group_ = 0;    // of the tasks being issued
  int32_t pipeline_segment_ = -1;
};

}  // namespace weft
