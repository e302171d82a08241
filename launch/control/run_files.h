#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "launch/control/failure.h"

// The small JSON files of a run directory by which the processes around a job find each other:
// service.json (where the coordinator listens, while it does), failure.json (the first cause, by
// whichever rank wrote it first) and exit.json (how `weft launch` saw the job end). Every file
// appears whole or not at all.

namespace weft {

struct ServiceFile {
  std::string address;  // "host:port"
  int64_t pid = 0;
  std::string started;  // RFC 3339, UTC
  uint64_t job_id = 0;
};

// With this process and the present time.
ServiceFile MakeServiceFile(const std::string& address, uint64_t job_id);
absl::Status WriteServiceFile(const std::string& run_directory, const ServiceFile& file);
// kNotFound when there is none; kDataLoss, naming the file and the key, when it is not as written.
absl::StatusOr<ServiceFile> LoadServiceFile(const std::string& run_directory);
void RemoveServiceFile(const std::string& run_directory);

// Keeps the file of whoever came first, and is OK then too.
absl::Status WriteFailureFile(const std::string& run_directory, const Failure& failure);
absl::StatusOr<Failure> LoadFailureFile(const std::string& run_directory);

struct ExitFile {
  int32_t exit_code = 0;
  std::string reason;  // one sentence
  int32_t rank = -1;   // who caused it; -1: nobody, or not known
  int32_t mpirun_status =
      0;  // of mpirun, or of the first rank that failed without: 128 + signal when killed
  std::string ended;  // RFC 3339, UTC
};
absl::Status WriteExitFile(const std::string& run_directory, const ExitFile& file);

// What an earlier run in the same directory left: failure.json and exit.json.
void RemoveOutcomeFiles(const std::string& run_directory);

// The present time as the files have it.
std::string UtcNow();

// How `weft launch` learns where its job runs: it gives the ranks the name of an empty directory in
// this variable, and rank 0 answers by AnnounceRunDirectory, which does nothing outside `weft
// launch`.
inline constexpr char kLaunchDirectoryVariable[] = "WEFT_LAUNCH_DIRECTORY";
absl::Status AnnounceRunDirectory(const std::string& run_directory);
// kNotFound when rank 0 never got that far.
absl::StatusOr<std::string> LoadAnnouncedRunDirectory(const std::string& launch_directory);

}  // namespace weft
