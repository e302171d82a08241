#include "scheduler/issuer.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace weft {
namespace {

constexpr size_t kKinds = static_cast<size_t>(OpKind::kOptimizer) + 1;

// Where an operation is in its chain.
size_t StepOf(const GradientChain& chain, OpId op) {
  size_t step = 0;
  while (chain.ops[step] != op) ++step;
  return step;
}

}  // namespace

const IssuedTasks& Issuer::Issue(const PlanDraft& draft, Gradients gradients) {
  draft_ = &draft;
  gradients_ = gradients;
  Reset();
  PrepareChains();
  for (size_t c = 0; c < chains_.size() && listed(); ++c) {
    if (chains_[c].missing == 0) IssueChain(c);  // a gradient that is there from the start
  }
  for (const Op& op : model_.graph().ops) {
    if (model_.ChainOf(op.id) >= 0) {
      IssueGather(static_cast<size_t>(model_.ChainOf(op.id)));
    } else if (model_.WgradOf(op.id) < 0 && Runs(op)) {
      IssueNext(op.id);
    }
  }
  FlushWgrads();
  std::vector<size_t> unneeded;
  for (size_t c = 0; c < chains_.size(); ++c) {
    if (!chains_[c].flushed) unneeded.push_back(c);
  }
  FlushChains(unneeded);
  return issued_;
}

void Issuer::Reset() {
  const StepGraph& graph = model_.graph();
  issued_.order.tasks.clear();
  issued_.order.schedule.Reset(model_.contention());
  issued_.order.group.clear();
  issued_.intra.clear();
  done_.assign(graph.ops.size(), 0);
  tasks_of_.resize(graph.ops.size());  // read for operations that are done
  last_wgrads_.assign((static_cast<size_t>(graph.num_layers) + 1) * kKinds, -1);
  priced_slices_.resize(graph.ops.size());
  delayed_wgrads_.clear();
  last_intra_ = -1;
  pipeline_segment_ = -1;
  segment_ = 0;
  group_ = 0;
}

void Issuer::PrepareChains() {
  chains_.clear();
  slices_.clear();
  windows_.clear();
  if (gradients_ == Gradients::kLeftOut) return;
  size_t tasks = 0;
  for (size_t c = 0; c < model_.chains().size(); ++c) {
    Chain& chain = chains_.emplace_back();
    chain.first_slice = slices_.size();
    chain.slices = draft_->slices[c].size();
    chain.first_task = tasks;
    chain.missing = Model(c).needs.size();
    tasks += chain.slices * Model(c).ops.size();
    for (size_t s = 0; s < chain.slices; ++s) {
      const DraftSlice& slice = draft_->slices[c][s];
      slices_.push_back({slice.begin, slice.end, 0});
      if (slice.before.valid() && !listed()) windows_.push_back({slice.before, c, s});
    }
  }
  slice_tasks_.resize(tasks);
  std::stable_sort(
      windows_.begin(), windows_.end(),
      [](const SliceInWindow& a, const SliceInWindow& b) { return a.before < b.before; });
}

// Whether the draft's algorithms have this operation.
bool Issuer::Runs(const Op& op) const {
  if (!model_.Has(op)) return false;
  return op.algorithms == kAnyAlgorithm || op.RunsUnder(AlgorithmOf(op.layer));
}

void Issuer::IssueNext(OpId op) {
  if (done_[static_cast<size_t>(op.value)] != 0) return;
  const int32_t pipeline = model_.PipelineOf(op);
  if (pipeline >= 0 && model_.pipelines()[static_cast<size_t>(pipeline)].closed) {
    IssuePipeline(model_.pipelines()[static_cast<size_t>(pipeline)]);
  } else {
    IssueOp(op);
  }
}

void Issuer::IssuePipeline(const Pipeline& pipeline) {
  const SlotDraft& slot = draft_->slots[static_cast<size_t>(pipeline.slot)];
  const int32_t layer = model_.slots()[static_cast<size_t>(pipeline.slot)].layer;
  const std::vector<OpId>& stages = pipeline.stages_under(AlgorithmOf(layer));
  for (const OpId stage : stages) Require(model_.graph().op(stage).needs, model_.PipelineOf(stage));
  FlushWgrads();
  last_intra_ = -1;
  pipeline_segment_ = -1;
  const auto stream = [&](size_t stage) { return StreamOf(model_.graph().op(stages[stage])); };
  // Neighbours on one stream take turns chunk by chunk: the first chunk gets through soonest.
  for (size_t first = 0, next = 0; first < stages.size(); first = next) {
    next = first + 1;
    while (next < stages.size() && stream(next) == stream(first)) ++next;
    IssueTogether(std::span(stages).subspan(first, next - first), slot.degree, slot.ready_first);
  }
  if (pipeline.wgrad.valid()) {
    if (slot.delay_wgrad) {
      delayed_wgrads_.push_back(pipeline.wgrad);
    } else {
      IssueOp(pipeline.wgrad);
    }
  }
  if (!listed()) FinishSlices();
}

void Issuer::IssueOp(OpId id) {
  const Op& op = model_.graph().op(id);
  Require(op.needs, kNoPipeline);
  last_intra_ = -1;
  pipeline_segment_ = -1;
  IssueTogether(std::span(&id, 1), PiecesOf(op), true);
}

int32_t Issuer::PiecesOf(const Op& op) const {
  if (model_.SlotOf(op.id) < 0) return 1;
  const SlotDraft& slot = draft_->slots[static_cast<size_t>(model_.SlotOf(op.id))];
  if (op.cut == Cut::kChunks) return slot.degree;
  return slot.cut_block && !IsWeightGradient(op.key.kind) ? slot.degree : 1;
}

// The pieces of operations on one stream, chunk by chunk. `any_order`: the intra stream may serve
// them as the rule says; otherwise as issued. What the operations need from outside is issued.
void Issuer::IssueTogether(std::span<const OpId> ops, int32_t pieces, bool any_order) {
  for (const OpId id : ops) IssueWindow(id);
  ++group_;
  const int32_t first = issued_.order.schedule.size();
  for (size_t k = 0; k < ops.size(); ++k) {
    tasks_of_[static_cast<size_t>(ops[k].value)] = {first + static_cast<int32_t>(k), pieces,
                                                    static_cast<int32_t>(ops.size())};
  }
  together_.clear();
  needs_.clear();
  for (const OpId id : ops) together_.push_back(Prepare(model_.graph().op(id), pieces));
  for (int32_t chunk = 0; chunk < pieces; ++chunk) {
    for (const Piecewise& op : together_) AddPiece(op, chunk, pieces, any_order);
  }
  for (const OpId id : ops) MarkDone(id);
}

Issuer::Piecewise Issuer::Prepare(const Op& op, int32_t pieces) {
  Piecewise result;
  result.op = op.id;
  result.stream = StreamOf(op);
  const bool in_chunks = op.cut == Cut::kChunks || op.cut == Cut::kEither;
  result.seconds = in_chunks ? model_.ChunkSeconds(op.id, pieces) : model_.WholeSeconds(op.id);
  result.scatters = op.key.kind == OpKind::kEspReduceScatter;
  result.ruled = op.stream == StreamKind::kIntra && op.cut == Cut::kChunks;
  result.first_need = needs_.size();
  for (const OpId need : op.needs) CollectNeeds(op, pieces, need);
  result.end_need = needs_.size();
  if (listed() && IsWeightGradient(op.key.kind)) {
    const size_t layer = op.layer < 0 ? 0 : static_cast<size_t>(op.layer) + 1;
    result.last_wgrad = &last_wgrads_[layer * kKinds + static_cast<size_t>(op.key.kind)];
  }
  return result;
}

// A piece waits for its share of `need` (the rule of TaskNeeds in graph/plan.h).
void Issuer::CollectNeeds(const Op& op, int32_t pieces, OpId need) {
  if (!Runs(model_.graph().op(need))) return;
  if (const int32_t c = model_.ChainOf(need); c >= 0) {
    if (gradients_ == Gradients::kLeftOut) return;
    const size_t chain = static_cast<size_t>(c);
    const size_t step = StepOf(Model(chain), need);
    for (size_t s = 0; s < chains_[chain].slices; ++s)
      needs_.push_back({SliceTask(chain, s, step), 0});
    return;
  }
  const TasksOfOp& tasks = tasks_of_[static_cast<size_t>(need.value)];
  if (op.cut != Cut::kWhole && op.cut != Cut::kSlices && tasks.pieces == pieces) {
    needs_.push_back({tasks.first, tasks.stride});
  } else if (listed()) {
    for (int32_t i = 0; i < tasks.pieces; ++i) needs_.push_back({tasks.of(i), 0});
  } else {
    // Chunks of one operation run in order on one stream: the last one ends last.
    needs_.push_back({tasks.of(tasks.pieces - 1), 0});
  }
}

void Issuer::AddPiece(const Piecewise& op, int32_t chunk, int32_t pieces, bool any_order) {
  PlanTask task;
  task.op = op.op;
  task.chunk = chunk;
  task.num_chunks = pieces;
  const int32_t index = Add(task, op.stream, op.seconds);
  Schedule& schedule = issued_.order.schedule;
  for (size_t i = op.first_need; i < op.end_need; ++i)
    schedule.Need(needs_[i].task + chunk * needs_[i].stride);
  if (listed()) {
    // Chunks run in order, and the weight gradients of a layer add up in the order of its
    // micro-batches, whatever serves the streams: both are on one stream.
    if (chunk > 0) schedule.Need(tasks_of_[static_cast<size_t>(op.op.value)].of(chunk - 1));
    if (op.last_wgrad != nullptr) {
      if (chunk == 0 && *op.last_wgrad >= 0) schedule.Need(*op.last_wgrad);
      *op.last_wgrad = index;
    }
  }
  IntraTask& intra = issued_.intra.back();
  intra.scatters = op.scatters;
  if (!op.ruled) return;
  if (any_order) {
    if (pipeline_segment_ < 0) pipeline_segment_ = intra.segment;
    intra.segment = pipeline_segment_;
  } else {
    intra.after = std::exchange(last_intra_, index);
  }
}

int32_t Issuer::Add(const PlanTask& task, StreamKind stream, double seconds) {
  issued_.order.tasks.push_back(task);
  issued_.order.group.push_back(group_);
  issued_.intra.emplace_back().segment = ++segment_;
  return issued_.order.schedule.Add(stream, seconds);
}

void Issuer::MarkDone(OpId id) {
  done_[static_cast<size_t>(id.value)] = 1;
  if (gradients_ == Gradients::kLeftOut) return;
  for (const int32_t waiting : model_.ChainsThatNeed(id)) {
    const size_t c = static_cast<size_t>(waiting);
    if (--chains_[c].missing > 0) continue;
    if (listed()) {
      IssueChain(c);
    } else if (draft_->early_scatter) {
      for (size_t s = 0; s < chains_[c].slices; ++s) AdvanceTo(c, s, StepsWhenReady(c));
    }
  }
}

// Parameters are gathered where the graph has them, which is before they are needed.
void Issuer::IssueGather(size_t c) {
  if (c < chains_.size() && Model(c).gathers && !chains_[c].flushed) IssueChain(c);
}

void Issuer::IssueChain(size_t c) {
  for (size_t s = 0; s < chains_[c].slices; ++s) AdvanceTo(c, s, Model(c).ops.size());
  Flushed(c);
}

// How many operations of a slice start as soon as the gradient is there: those before the
// inter-node one.
size_t Issuer::StepsWhenReady(size_t c) const {
  return Model(c).inter_op < 0 ? 1 : static_cast<size_t>(Model(c).inter_op);
}

// What the draft wants on the inter-node stream just before this operation, if it is there;
// otherwise it goes at the end.
void Issuer::IssueWindow(OpId before) {
  auto slice =
      std::lower_bound(windows_.begin(), windows_.end(), before,
                       [](const SliceInWindow& window, OpId op) { return window.before < op; });
  for (; slice != windows_.end() && slice->before == before; ++slice) {
    const size_t c = slice->chain;
    if (chains_[c].missing > 0) continue;
    AdvanceTo(c, slice->slice, static_cast<size_t>(Model(c).inter_op) + 1);
  }
}

// What follows a slice's turn on the inter-node stream is served behind the pipeline that hosted
// it.
void Issuer::FinishSlices() {
  for (size_t c = 0; c < chains_.size(); ++c) {
    if (chains_[c].flushed) continue;
    bool finished = chains_[c].slices > 0;
    for (size_t s = 0; s < chains_[c].slices; ++s) {
      const size_t& issued = slices_[chains_[c].first_slice + s].issued;
      const bool began = issued > 0 && (Model(c).inter_op < 0 || issued > StepsWhenReady(c));
      if (began) AdvanceTo(c, s, Model(c).ops.size());
      finished &= issued == Model(c).ops.size();
    }
    if (finished) Flushed(c);
  }
}

void Issuer::AdvanceTo(size_t c, size_t s, size_t steps) {
  Slice& slice = slices_[chains_[c].first_slice + s];
  for (; slice.issued < steps; ++slice.issued) {
    const Op& op = model_.graph().op(Model(c).ops[slice.issued]);
    PlanTask task;
    task.op = op.id;
    task.begin = slice.begin;
    task.end = slice.end;
    ++group_;
    const int32_t index = Add(task, StreamOf(op), SliceSeconds(op.id, task.end - task.begin));
    issued_.intra.back().gradient = !Model(c).gathers;
    needs_.clear();
    for (const OpId need : op.needs) {
      if (model_.ChainOf(need) == static_cast<int32_t>(c)) {
        needs_.push_back({SliceTask(c, s, StepOf(Model(c), need)), 0});
      } else {
        CollectNeeds(op, 1, need);
      }
    }
    for (const NeedOfPiece& need : needs_) issued_.order.schedule.Need(need.task);
    SliceTask(c, s, slice.issued) = index;
  }
}

int32_t& Issuer::SliceTask(size_t c, size_t s, size_t step) {
  return slice_tasks_[chains_[c].first_task + s * Model(c).ops.size() + step];
}

double Issuer::SliceSeconds(OpId op, int64_t elements) {
  PricedSlice& priced = priced_slices_[static_cast<size_t>(op.value)];
  if (priced.elements != elements) priced = {elements, model_.SliceSeconds(op, elements)};
  return priced.seconds;
}

void Issuer::FlushWgrads() {
  for (const OpId wgrad : std::exchange(delayed_wgrads_, {})) {
    if (done_[static_cast<size_t>(wgrad.value)] == 0) IssueOp(wgrad);
  }
}

// The rest of these gradients, kind by kind: all scatters, then what the inter-node stream
// carries, then all gathers.
void Issuer::FlushChains(const std::vector<size_t>& chains) {
  size_t longest = 0;
  for (const size_t c : chains) {
    longest = std::max(longest, Model(c).ops.size());
    Require(Model(c).needs, kNoPipeline);
  }
  for (size_t steps = 1; steps <= longest; ++steps) {
    for (const size_t c : chains) {
      if (steps > Model(c).ops.size()) continue;
      for (size_t s = 0; s < chains_[c].slices; ++s) AdvanceTo(c, s, steps);
    }
  }
  for (const size_t c : chains) Flushed(c);
}

void Issuer::Flushed(size_t c) {
  if (std::exchange(chains_[c].flushed, true)) return;
  for (const OpId op : Model(c).ops) MarkDone(op);
}

// Issues what was put off but is needed now, by something other than its own pipeline.
void Issuer::Require(std::span<const OpId> needs, int32_t own_pipeline) {
  std::vector<size_t> chains;
  for (const OpId need : needs) {
    if (done_[static_cast<size_t>(need.value)] != 0 || !Runs(model_.graph().op(need))) continue;
    if (own_pipeline != kNoPipeline && model_.PipelineOf(need) == own_pipeline) continue;
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

}  // namespace weft
