#pragma once

#include <optional>
#include <span>
#include <vector>

#include "graph/topology.h"
#include "models/transformer/transformer.h"
#include "runtime/expert_loads.h"
#include "runtime/groups.h"
#include "runtime/options.h"
#include "runtime/sharded_update.h"
#include "runtime/step_program.h"

namespace weft {

// What the ranks tell each other in the last collective of a step, beside loss and norm.
struct StepAgreement {
  int64_t prepared_epoch =
      0;              // in: highest plan epoch this rank has prepared; out: the minimum over ranks
  bool stop = false;  // out: somebody asked for it
  bool checkpoint = false;
};

// What a step added up over all ranks, equal on all of them bit for bit.
struct StepTotals {
  double cross_entropy = 0;  // mean per token of the global batch
  double balance = 0;
  double gradient_norm = 0;  // before clipping
  StepAgreement agreement;
};

// The whole training step of one rank: the model's operations, the reduction of dense gradients (a
// slice of a bucket: reduce-scatter inside the node, all-reduce between nodes, all-gather inside),
// of expert gradients over their copies, the global norm, the step reduction and AdamW.
class TrainProgram final : public StepProgram {
 public:
  struct Args {
    Transformer* model = nullptr;
    Parameters* parameters = nullptr;
    Groups* groups = nullptr;
    ShardedUpdate* sharded = nullptr;  // ZeRO-1; null without
    Kernels* kernels = nullptr;
    Topology topology;
    Layout layout;
    RankId rank;
    BatchShape batch;
    OptimizerOptions optimizer;
    Workload workload = Workload::kBalanced;  // the model's
    StepKind kind = StepKind::kTraining;
  };
  explicit TrainProgram(const Args& args);

  absl::Status Prepare(const StepGraph& graph, const Plan& plan) override;
  absl::Status Run(const Op& op, const PlanTask& task, double* size) override;

  // What is told of a step before it.
  struct StepArgs {
    int64_t step = 0;  // names the step in spans and errors; forced routing depends on it
    std::span<const int32_t>
        tokens;  // [micro_batches * tokens of a micro-batch]; one micro-batch for kForward
    std::span<const int32_t> labels;
    int64_t update = 1;        // kTraining: 1 for the first optimizer update (bias correction)
    double learning_rate = 0;  // 0 changes no parameter but moves m and v
    StepAgreement agreement;
    std::optional<Workload> workload;  // of forced routing; none: the model's
    bool record_spans = true;
  };
  // Before a step.
  void Begin(const StepArgs& args);
  // After a step.
  const StepTotals& totals() const { return totals_; }
  // How many rows of the last step every rank had for every expert. [world][layers with
  // experts][experts]; equal on all ranks; nothing for kForward.
  std::span<const int32_t> expert_counts() const { return expert_counts_; }

 private:
  void ReserveReduced();
  Bucket& BucketOf(const Op& op);
  // The ranks of this node that a slice of `op` is reduced over.
  struct NodeReplicas {
    Communicator* group = nullptr;  // null when there is one only
    int32_t count = 1;
    int32_t place = 0;  // of this rank
  };
  NodeReplicas ReplicasOf(const Op& op) const;
  absl::Status ReduceScatterSlice(const Op& op, const PlanTask& task, double* size);
  absl::Status AllReduceSlice(const Op& op, const PlanTask& task, double* size);
  absl::Status AllGatherSlice(const Op& op, const PlanTask& task, double* size);
  // Elements of every one's part. Used by the intra-node stream only.
  std::span<const int64_t> ShareRows(const Op& op, const PlanTask& task);
  TensorView ReducedShare(const Op& op, const PlanTask& task);
  void FollowTheLoad();
  void LocalNorm();
  absl::Status ReduceStep();
  void TakeTotals();
  void Update();

  Args args_;
  std::vector<LayerWays> layers_;
  Placements placements_;  // of the plan
  ExpertLoads loads_;
  // Sums of this rank's shares, by layer and for the outer bucket, by layer for heads. Empty where
  // a rank is its node's only replica: sums stay where the gradients are.
  std::vector<Buffer> reduced_, reduced_heads_;
  std::vector<int64_t> share_rows_;
  Buffer squares_;  // fp64 [1]: of this rank's gradients
  // What a rank says in the step reduction: some numbers, then its counts (of int32, in pairs).
  std::vector<double> own_;
  std::vector<double> reduction_;       // [world][own_]
  std::vector<int32_t> own_counts_;     // [layers with experts][experts]
  std::vector<int32_t> expert_counts_;  // [world][own_counts_]
  StepAgreement agreement_;
  int64_t update_ = 1;
  double learning_rate_ = 0;
  StepTotals totals_;
};

// Warm-up from 0, then cosine to min_learning_rate at the last step. step from 0.
double LearningRateAt(const OptimizerOptions& options, int64_t step, int64_t steps);

}  // namespace weft
