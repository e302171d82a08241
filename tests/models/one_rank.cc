#include "tests/models/one_rank.h"

#include <gtest/gtest.h>

#include <utility>

#include "base/check.h"
#include "graph/fixed_plan.h"

namespace weft {

OneRank::OneRank(std::unique_ptr<Kernels> kernels, const WorkerOptions& options)
    : kernels_(std::move(kernels)), backend_(InprocWorld::Make(1)->MakeBackend(RankId{0})) {
  auto worker = Worker::Connect(*backend_, *kernels_, options);
  WEFT_CHECK(worker.ok(), worker.status().ToString());
  worker_ = *std::move(worker);
  for (const StepKind kind : {StepKind::kTraining, StepKind::kForward}) {
    const Plan plan = MakeFixedPlan(*worker_->graph(kind), {});
    const absl::Status installed = worker_->Install(kind, std::make_shared<const Plan>(plan));
    WEFT_CHECK(installed.ok(), installed.ToString());
  }
  for (Bucket* bucket : worker_->parameters().all()) {
    for (const Parameter& p : bucket->parameters) {
      parameters_[p.name] = {bucket->Value(p), bucket->Gradient(p)};
    }
  }
}

StepTotals OneRank::Run(StepKind kind, const Worker::StepArgs& args) {
  const absl::Status status = worker_->RunStep(kind, args).status();
  EXPECT_TRUE(status.ok()) << status;
  return status.ok() ? worker_->totals(kind) : StepTotals{};
}

}  // namespace weft
