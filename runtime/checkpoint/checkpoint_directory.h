#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/checkpoint/manifest.h"

// The names inside a checkpoint directory, and the steps by which they change. One process at a
// time writes.
//   step-N            a committed checkpoint
//   step-N.tmp-*      unfinished or dying; removed by the next save
//   step-N.past-*     lay beyond a step that a later run saved again; never read, never removed
//   latest            a symbolic link to the newest, for people; nothing reads it

namespace weft {

// DIRECTORY/step-N
std::string CheckpointPath(const std::string& directory, int64_t step);

// Steps of the committed checkpoints, ascending. An absent directory holds none.
absl::StatusOr<std::vector<int64_t>> ListCheckpoints(const std::string& directory);

// Makes the directory, clears it of unfinished work and makes a fresh temporary directory for
// `step`, whose name is CheckpointPath + the returned suffix.
absl::StatusOr<std::string> BeginCheckpoint(const std::string& directory, int64_t step);

// Turns the temporary directory, complete but for its manifest, into the committed checkpoint of
// manifest.step, replacing one of the same step (which then bears the temporary name). When it
// returns OK the checkpoint survives a power cut; whatever the crash point, a complete checkpoint
// of this or an earlier step is there.
absl::Status CommitCheckpoint(const std::string& directory, const std::string& temporary,
                              const CheckpointManifest& manifest);

// After a commit: points `latest` at `step`, removes all but the newest `keep` checkpoints up to it
// and what the commit replaced, and sets aside those beyond it, since the run went back behind
// them. An error leaves every checkpoint that matters in place.
absl::Status TidyCheckpoints(const std::string& directory, int64_t step, int32_t keep);

// kDataLoss: a manifest that is missing, damaged or of another step.
absl::StatusOr<CheckpointManifest> LoadManifest(const std::string& directory, int64_t step);

// Reads rank's file through and compares size and digest. kDataLoss: they differ. REQUIRES: rank <
// files.size().
absl::Status VerifyRankFile(const std::string& directory, const CheckpointManifest& manifest,
                            int rank);

// All of one checkpoint: LoadManifest and VerifyRankFile of every rank.
absl::Status VerifyCheckpoint(const std::string& directory, int64_t step);

}  // namespace weft
