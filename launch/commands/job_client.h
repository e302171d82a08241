#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "weft/v1/control.pb.h"

namespace weft {

// A person's line to the job that runs in a run directory: finds it by service.json and calls its
// coordinator. Every call has a deadline of some seconds. kNotFound from anything: no job is
// running there, and the message says why.
class JobClient {
 public:
  static absl::StatusOr<std::unique_ptr<JobClient>> Find(const std::string& run_directory);
  ~JobClient();

  absl::StatusOr<v1::GetStatusResponse> GetStatus();
  absl::StatusOr<v1::GetPlanResponse> GetPlan();
  absl::StatusOr<v1::StopResponse> Stop();
  absl::StatusOr<v1::CheckpointResponse> Checkpoint();

 private:
  struct Wire;

  explicit JobClient(std::unique_ptr<Wire> wire);

  std::unique_ptr<Wire> wire_;
};

}  // namespace weft
