#pragma once

#include <map>
#include <memory>
#include <string>

#include "comm/inproc/inproc_world.h"
#include "runtime/worker.h"
#include "tensor/kernels/kernels.h"

namespace weft {

// A worker that is the whole world, with plain plans installed: the real path of a step, for tests
// of the mathematics.
class OneRank {
 public:
  OneRank(std::unique_ptr<Kernels> kernels, const WorkerOptions& options);

  struct Named {
    TensorView value, gradient;  // windows of the worker's buckets
  };
  const std::map<std::string, Named>& parameters() const { return parameters_; }

  // Fails the test and returns zeros when the step fails.
  StepTotals Run(StepKind kind, const Worker::StepArgs& args);
  const Transformer& model() const { return worker_->model(); }

 private:
  std::unique_ptr<Kernels> kernels_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Worker> worker_;
  std::map<std::string, Named> parameters_;
};

}  // namespace weft
