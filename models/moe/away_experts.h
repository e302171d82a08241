#pragma once

#include <vector>

#include "absl/status/status.h"
#include "graph/expert_placement.h"
#include "models/model_context.h"
#include "models/parameters.h"

namespace weft {

// The experts of one layer that this rank works for although they live elsewhere
// (graph/expert_placement.h): their weights and gradients for one step, and the two exchanges over
// the EP group that bring the weights here and the gradients home. Exact sizes: nobody sends what
// nobody needs. The bucket holds one expert after another by home, and so by the member they live
// with: what arrives needs no order of its own.
class AwayExperts {
 public:
  // `home`: this rank's experts of the layer; outlives this.
  AwayExperts(const ModelContext& context, Bucket& home, int32_t layer);

  // Between steps.
  void Place(const ExpertPlacement& placement);
  void ZeroGradients();

  // Weights of the foreign experts, after Fetch; their gradients, before Return.
  Bucket& bucket() { return away_; }

  // `size`: bytes that this rank sends or receives, whichever are more.
  absl::Status Fetch(double* size);
  // Adds what the members have summed up to the gradients at home, in the order of the members,
  // after what this rank has summed up itself.
  absl::Status Return(double* size);

 private:
  double Size(DType dtype) const;
  TensorView ExpertsOf(const Buffer& home, DType dtype) const;  // one expert a row

  const ModelContext& context_;
  Bucket& home_;
  int64_t elements_ = 0;  // of an expert
  Bucket away_;
  std::vector<int32_t> lent_;                 // experts of this home, by the member they work on
  std::vector<int64_t> rows_to_, rows_from_;  // elements by member: lent, foreign
  std::vector<RowBlock> packed_;              // lent experts of the home, one after another
  Buffer outgoing_, returned_;                // one expert after another, as lent_
};

}  // namespace weft
