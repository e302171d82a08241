#include "scheduler/issue_order.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include "base/check.h"
#include "scheduler/priority_order.h"

namespace weft {
namespace {

// About as many as a layer has in a direction, to make room for their chunks.
constexpr size_t kOpsOfPipeline = 8;

// Walks the operations of the graph in order, pipelines in one go (stage by stage, so that each
// stream gets D1..Dr, C1..Cr / AG1..AGr, RS1..RSr / E1..Er), and puts slices and delayed dW where
// the draft wants them. An operation that something else needs is issued before it in any case, so
// that the order is always a legal one.
class Issuer {
 public:
  Issuer(const StepModel& model, const PlanDraft& draft, Gradients gradients)
      : model_(model), draft_(draft), gradients_(gradients) {
    const size_t ops = model.graph().ops.size();
    done_.assign(ops, false);
    tasks_of_.assign(ops, {});
    order_.schedule = Schedule(model.contention());
    size_t tasks = 2 * ops;
    for (const SlotDraft& slot : draft.slots)
      tasks += kOpsOfPipeline * static_cast<size_t>(slot.degree);
    order_.tasks.reserve(tasks);
    order_.group.reserve(tasks);
    order_.schedule.Reserve(tasks, 2 * tasks);
    intra_.reserve(tasks);
    PrepareChains();
  }

  IssueOrder Run() {
    for (size_t c = 0; c < chains_.size() && listed(); ++c) {
      if (chains_[c].missing == 0) IssueChain(c);  // a gradient that is there from the start
    }
    for (const Op& op : model_.graph().ops) {
      if (model_.ChainOf(op.id) >= 0) {
        IssueGather(static_cast<size_t>(model_.ChainOf(op.id)));
      } else if (model_.WgradOf(op.id) < 0 && Runs(op.id)) {
        Issue(op.id);
      }
    }
    FlushWgrads();
    std::vector<size_t> unneeded;
    for (size_t c = 0; c < chains_.size(); ++c) {
      if (!chains_[c].flushed) unneeded.push_back(c);
    }
    FlushChains(unneeded);
    ApplyService();
    return std::move(order_);
  }

 private:
  // Chunk c of an operation is task first + c * stride.
  struct TasksOfOp {
    int32_t first = -1;
    int32_t pieces = 0;
    int32_t stride = 1;
    int32_t of(int32_t chunk) const { return first + chunk * stride; }
  };
  struct Slice {
    DraftSlice draft;
    size_t issued = 0;               // operations of the chain already issued for it
    std::vector<int32_t> last_task;  // of each operation issued
  };
  struct Chain {
    std::vector<Slice> slices;
    size_t missing = 0;  // needs not issued yet
    bool flushed = false;
  };

  // The order is found afterwards, from what every task needs.
  bool listed() const { return draft_.service != Service::kInOrder; }

  AllToAllAlgorithm AlgorithmOf(int32_t layer) const {
    return draft_.all_to_alls[static_cast<size_t>(layer)];
  }
  // Whether the draft's algorithms have this operation.
  bool Runs(OpId id) const {
    const Op& op = model_.graph().op(id);
    if (!model_.Has(op)) return false;
    return op.algorithms == kAnyAlgorithm || op.RunsUnder(AlgorithmOf(op.layer));
  }

  const GradientChain& Model(size_t chain) const { return model_.chains()[chain]; }

  void PrepareChains() {
    if (gradients_ == Gradients::kLeftOut) return;
    chains_.resize(model_.chains().size());
    for (size_t c = 0; c < chains_.size(); ++c) {
      chains_[c].missing = Model(c).needs.size();
      for (const OpId need : Model(c).needs) chains_waiting_[need.value].push_back(c);
      for (size_t s = 0; s < draft_.slices[c].size(); ++s) {
        const DraftSlice& slice = draft_.slices[c][s];
        chains_[c].slices.push_back(Slice{slice, 0, {}});
        if (slice.before.valid() && !listed())
          slices_before_[slice.before.value].emplace_back(c, s);
      }
    }
  }

  void Issue(OpId op) {
    if (done_[static_cast<size_t>(op.value)]) return;
    const int32_t pipeline = model_.PipelineOf(op);
    if (pipeline >= 0 && model_.pipelines()[static_cast<size_t>(pipeline)].closed) {
      IssuePipeline(model_.pipelines()[static_cast<size_t>(pipeline)]);
    } else {
      IssueOp(op);
    }
  }

  void IssuePipeline(const Pipeline& pipeline) {
    const SlotDraft& slot = draft_.slots[static_cast<size_t>(pipeline.slot)];
    const int32_t layer = model_.slots()[static_cast<size_t>(pipeline.slot)].layer;
    const std::vector<OpId>& stages = pipeline.stages_under(AlgorithmOf(layer));
    for (const OpId stage : stages) {
      std::vector<OpId> outside;
      for (const OpId need : model_.graph().op(stage).needs) {
        if (model_.PipelineOf(need) != model_.PipelineOf(stage)) outside.push_back(need);
      }
      Require(outside);
    }
    FlushWgrads();
    last_intra_ = -1;
    pipeline_segment_ = -1;
    // Neighbours on one stream take turns chunk by chunk: the first chunk gets through soonest.
    for (size_t first = 0, next = 0; first < stages.size(); first = next) {
      next = first + 1;
      while (next < stages.size() && StreamOf(stages[next]) == StreamOf(stages[first])) ++next;
      IssueTogether(std::span(stages).subspan(first, next - first), slot.degree, slot.ready_first);
    }
    if (pipeline.wgrad.valid()) {
      if (slot.delay_wgrad) {
        delayed_wgrads_.push_back(pipeline.wgrad);
      } else {
        IssueOp(pipeline.wgrad);
      }
    }
    FinishSlices();
  }

  void IssueOp(OpId id) {
    Require(model_.graph().op(id).needs);
    last_intra_ = -1;
    pipeline_segment_ = -1;
    IssueTogether(std::span(&id, 1), PiecesOf(id), true);
  }

  int32_t PiecesOf(OpId id) const {
    const Op& op = model_.graph().op(id);
    if (model_.SlotOf(id) < 0) return 1;
    const SlotDraft& slot = draft_.slots[static_cast<size_t>(model_.SlotOf(id))];
    if (op.cut == Cut::kChunks) return slot.degree;
    return slot.cut_block && !IsWeightGradient(op.key.kind) ? slot.degree : 1;
  }

  // The pieces of operations on one stream, chunk by chunk. `any_order`: the intra stream may serve
  // them as `rule` says; otherwise as issued. What the operations need from outside is issued.
  void IssueTogether(std::span<const OpId> ops, int32_t pieces, bool any_order) {
    for (const OpId id : ops) {
      if (const auto waiting = slices_before_.find(id.value); waiting != slices_before_.end()) {
        for (const auto& [chain, slice] : waiting->second) IssueInWindow(chain, slice);
      }
    }
    ++group_;
    const int32_t first = order_.schedule.size();
    for (size_t k = 0; k < ops.size(); ++k) {
      tasks_of_[static_cast<size_t>(ops[k].value)] = {first + static_cast<int32_t>(k), pieces,
                                                      static_cast<int32_t>(ops.size())};
    }
    for (int32_t chunk = 0; chunk < pieces; ++chunk) {
      for (const OpId id : ops) {
        const Op& op = model_.graph().op(id);
        PlanTask task;
        task.op = id;
        task.chunk = chunk;
        task.num_chunks = pieces;
        const bool in_chunks = op.cut == Cut::kChunks || op.cut == Cut::kEither;
        const int32_t index =
            Add(task, in_chunks ? model_.ChunkSeconds(id, pieces) : model_.WholeSeconds(id));
        for (const OpId need : op.needs) {
          if (Runs(need)) AddNeeds(op, chunk, pieces, need);
        }
        if (listed()) KeepOrder(op, index, chunk);
        DescribeIntra(op, index, any_order);
      }
    }
    for (const OpId id : ops) MarkDone(id);
  }

  // Chunks run in order, and the weight gradients of a layer add up in the order of its
  // micro-batches, whatever serves the streams: both are on one stream.
  void KeepOrder(const Op& op, int32_t index, int32_t chunk) {
    if (chunk > 0) order_.schedule.Need(tasks_of_[static_cast<size_t>(op.id.value)].of(chunk - 1));
    if (!IsWeightGradient(op.key.kind)) return;
    const auto [last, first] = last_wgrad_.try_emplace({op.key.kind, op.layer}, index);
    if (first) return;
    if (chunk == 0) order_.schedule.Need(last->second);
    last->second = index;
  }

  void DescribeIntra(const Op& op, int32_t index, bool any_order) {
    IntraTask& intra = intra_[static_cast<size_t>(index)];
    intra.scatters = op.key.kind == OpKind::kEspReduceScatter;
    if (op.stream != StreamKind::kIntra || op.cut != Cut::kChunks) return;
    if (any_order) {
      if (pipeline_segment_ < 0) pipeline_segment_ = intra.segment;
      intra.segment = pipeline_segment_;
    } else {
      intra.after = last_intra_;
      last_intra_ = index;
    }
  }

  StreamKind StreamOf(OpId op) const {
    return StreamUnder(draft_.streams, model_.graph().op(op).stream);
  }

  int32_t Add(const PlanTask& task, double seconds) {
    order_.tasks.push_back(task);
    order_.group.push_back(group_);
    intra_.emplace_back();
    intra_.back().segment = ++segment_;
    return order_.schedule.Add(StreamOf(task.op), seconds);
  }

  // The last task issued waits for its share of `need` (the rule of TaskNeeds in graph/plan.h).
  void AddNeeds(const Op& op, int32_t chunk, int32_t pieces, OpId need) {
    const int32_t chain = model_.ChainOf(need);
    if (chain >= 0) {
      if (gradients_ == Gradients::kLeftOut) return;
      size_t k = 0;
      while (Model(static_cast<size_t>(chain)).ops[k] != need) ++k;
      for (const Slice& slice : chains_[static_cast<size_t>(chain)].slices) {
        order_.schedule.Need(slice.last_task[k]);
      }
      return;
    }
    const TasksOfOp& tasks = tasks_of_[static_cast<size_t>(need.value)];
    if (op.cut != Cut::kWhole && op.cut != Cut::kSlices && tasks.pieces == pieces) {
      order_.schedule.Need(tasks.of(chunk));
    } else if (listed()) {
      for (int32_t i = 0; i < tasks.pieces; ++i) order_.schedule.Need(tasks.of(i));
    } else {
      // Chunks of one operation run in order on one stream: the last one ends last.
      order_.schedule.Need(tasks.of(tasks.pieces - 1));
    }
  }

  void MarkDone(OpId id) {
    done_[static_cast<size_t>(id.value)] = true;
    const auto waiting = chains_waiting_.find(id.value);
    if (waiting == chains_waiting_.end()) return;
    for (const size_t c : waiting->second) {
      if (--chains_[c].missing > 0) continue;
      if (listed()) {
        IssueChain(c);
      } else if (draft_.early_scatter) {
        for (Slice& slice : chains_[c].slices) AdvanceTo(c, slice, StepsWhenReady(c));
      }
    }
  }

  // Parameters are gathered where the graph has them, which is before they are needed.
  void IssueGather(size_t c) {
    if (c < chains_.size() && Model(c).gathers && !chains_[c].flushed) IssueChain(c);
  }

  void IssueChain(size_t c) {
    for (Slice& slice : chains_[c].slices) AdvanceTo(c, slice, Model(c).ops.size());
    Flushed(c);
  }

  // How many operations of a slice start as soon as the gradient is there: those before the
  // inter-node one.
  size_t StepsWhenReady(size_t c) const {
    return Model(c).inter_op < 0 ? 1 : static_cast<size_t>(Model(c).inter_op);
  }

  void IssueInWindow(size_t c, size_t s) {
    if (chains_[c].missing > 0) return;  // not there yet: it goes at the end
    AdvanceTo(c, chains_[c].slices[s], static_cast<size_t>(Model(c).inter_op) + 1);
  }

  // What follows a slice's turn on the inter-node stream is served behind the pipeline that hosted
  // it.
  void FinishSlices() {
    for (size_t c = 0; c < chains_.size(); ++c) {
      if (chains_[c].flushed) continue;
      bool finished = !chains_[c].slices.empty();
      for (Slice& slice : chains_[c].slices) {
        const bool began =
            slice.issued > 0 && (Model(c).inter_op < 0 || slice.issued > StepsWhenReady(c));
        if (began) AdvanceTo(c, slice, Model(c).ops.size());
        finished &= slice.issued == Model(c).ops.size();
      }
      if (finished) Flushed(c);
    }
  }

  void AdvanceTo(size_t c, Slice& slice, size_t steps) {
    for (; slice.issued < steps; ++slice.issued) {
      const OpId id = Model(c).ops[slice.issued];
      const Op& op = model_.graph().op(id);
      PlanTask task;
      task.op = id;
      task.begin = slice.draft.begin;
      task.end = slice.draft.end;
      ++group_;
      const int32_t index = Add(task, model_.SliceSeconds(id, task.end - task.begin));
      intra_[static_cast<size_t>(index)].gradient = !Model(c).gathers;
      for (const OpId need : op.needs) {
        if (model_.ChainOf(need) == static_cast<int32_t>(c)) {
          size_t k = 0;
          while (Model(c).ops[k] != need) ++k;
          order_.schedule.Need(slice.last_task[k]);
        } else if (Runs(need)) {
          AddNeeds(op, 0, 1, need);
        }
      }
      slice.last_task.push_back(index);
    }
  }

  void FlushWgrads() {
    for (const OpId wgrad : std::exchange(delayed_wgrads_, {})) {
      if (!done_[static_cast<size_t>(wgrad.value)]) IssueOp(wgrad);
    }
  }

  // The rest of these gradients, kind by kind: all scatters, then what the inter-node stream
  // carries, then all gathers.
  void FlushChains(const std::vector<size_t>& chains) {
    size_t longest = 0;
    for (const size_t c : chains) {
      longest = std::max(longest, Model(c).ops.size());
      Require(Model(c).needs);
    }
    for (size_t steps = 1; steps <= longest; ++steps) {
      for (const size_t c : chains) {
        if (steps > Model(c).ops.size()) continue;
        for (Slice& slice : chains_[c].slices) AdvanceTo(c, slice, steps);
      }
    }
    for (const size_t c : chains) Flushed(c);
  }

  void Flushed(size_t c) {
    if (std::exchange(chains_[c].flushed, true)) return;
    for (const OpId op : Model(c).ops) MarkDone(op);
  }

  // Issues what was put off but is needed now.
  void Require(const std::vector<OpId>& needs) {
    std::vector<size_t> chains;
    for (const OpId need : needs) {
      if (done_[static_cast<size_t>(need.value)] || !Runs(need)) continue;
      if (model_.ChainOf(need) >= 0) {
        const size_t chain = static_cast<size_t>(model_.ChainOf(need));
        const bool listed = std::find(chains.begin(), chains.end(), chain) != chains.end();
        if (gradients_ == Gradients::kIncluded && !listed) chains.push_back(chain);
        continue;
      }
      WEFT_CHECK(model_.WgradOf(need) >= 0, "operations come after what they need");
      IssueOp(need);
    }
    if (!chains.empty()) FlushChains(chains);
  }

  void ApplyService() {
    if (draft_.service == Service::kGiven) {
      if (!draft_.order.empty()) Reorder(draft_.order);
    } else if (draft_.service == Service::kCriticalGaps || draft_.service == Service::kChainGaps) {
      Reorder(OrderInGaps(order_.schedule, Urgency()));
    } else if (listed()) {
      Reorder(OrderByPriority(order_.schedule, Urgency()));
    } else if (draft_.rule != IntraRule::kIssueOrder && draft_.streams == kNumStreams) {
      Reorder(OrderByReadiness(order_.schedule, intra_, draft_.rule));
    }
  }

  std::vector<double> Urgency() const {
    std::vector<double> urgency;
    if (draft_.service != Service::kGradientsYield) {
      urgency = draft_.service == Service::kChainGaps ? SecondsToTheEnd(order_.schedule)
                                                      : ServedSecondsToTheEnd(order_.schedule);
      for (double& seconds : urgency) seconds = -seconds;
      return urgency;
    }
    for (size_t i = 0; i < intra_.size(); ++i) {
      urgency.push_back(static_cast<double>(i + (intra_[i].gradient ? intra_.size() : 0)));
    }
    return urgency;
  }

  void Reorder(const std::vector<int32_t>& order) {
    order_.schedule = Reordered(order_.schedule, order);
    std::vector<PlanTask> tasks;
    std::vector<int32_t> group;
    tasks.reserve(order.size());
    group.reserve(order.size());
    for (const int32_t task : order) {
      tasks.push_back(order_.tasks[static_cast<size_t>(task)]);
      group.push_back(order_.group[static_cast<size_t>(task)]);
    }
    order_.tasks = std::move(tasks);
    order_.group = std::move(group);
  }

  const StepModel& model_;
  const PlanDraft& draft_;
  const Gradients gradients_;
  IssueOrder order_;
  std::vector<IntraTask> intra_;     // by task
  std::vector<bool> done_;           // by operation
  std::vector<TasksOfOp> tasks_of_;  // by operation
  std::vector<Chain> chains_;
  std::map<int32_t, std::vector<size_t>> chains_waiting_;  // operation -> chains that need it
  std::map<int32_t, std::vector<std::pair<size_t, size_t>>> slices_before_;
  std::vector<OpId> delayed_wgrads_;
  std::map<std::pair<OpKind, int32_t>, int32_t> last_wgrad_;  // task, by kind and layer
  int32_t last_intra_ = -1;
  int32_t segment_ = 0;  // of the last task added
  int32_t group_ = 0;    // of the tasks being issued
  int32_t pipeline_segment_ = -1;
};

}  // namespace

IssueOrder MakeIssueOrder(const StepModel& model, const PlanDraft& draft, Gradients gradients) {
  return Issuer(model, draft, gradients).Run();
}

double SecondsOf(const StepModel& model, const PlanDraft& draft) {
  std::vector<double> begin;
  std::vector<double> end;
  return RunSchedule(MakeIssueOrder(model, draft).schedule, begin, end);
}

}  // namespace weft
