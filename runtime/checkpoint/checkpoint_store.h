#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "comm/communicator.h"
#include "runtime/checkpoint/safetensors_header.h"
#include "tensor/view.h"

// Checkpoints of a whole job in one directory that all ranks see:
//   DIRECTORY/step-N/{rank-0.safetensors, rank-1.safetensors, ..., manifest.json}
// The life of one: rank 0 makes step-N.tmp-*; every rank writes its file there and fsyncs it; sizes
// and digests travel to rank 0, which writes the manifest, fsyncs, and renames the directory to
// step-N: this is the commit. Whatever is killed at whatever moment, the newest committed
// checkpoint or the one before it is complete. On the way back every file is read through and
// compared with its digest before a single live tensor changes; a damaged checkpoint is passed over
// for the one before it, on all ranks alike.

namespace weft {

struct SaveArgs {
  Communicator& world;
  int64_t step = 0;    // of the run; the same on all ranks
  std::string layout;  // how tensors are spread over ranks; Load demands the same text
  std::vector<NamedTensor> tensors;  // this rank's; host memory; unchanged until Save returns
  std::map<std::string, std::string>
      metadata;  // rank 0's is kept: config digest, tokens seen, loss, ...
};

struct NamedTarget {
  std::string name;
  TensorView view;
};

struct LoadArgs {
  Communicator& world;
  std::string layout;
  // Exactly those that this rank saved, by the metadata of the checkpoint; host memory. An error is
  // one of the checkpoint. May be asked several times; the last answer is filled.
  std::function<absl::StatusOr<std::vector<NamedTarget>>(
      const std::map<std::string, std::string>& metadata)>
      tensors;
};

struct LoadedCheckpoint {
  int64_t step = 0;
  std::map<std::string, std::string> metadata;
  std::vector<std::string>
      passed_over;  // newer checkpoints that are damaged, newest first, and why
};

class CheckpointStore {
 public:
  // `keep`: newest checkpoints that survive a save. REQUIRES: keep >= 1.
  CheckpointStore(std::string directory, int32_t keep);

  // COLLECTIVE: all ranks of the world. Blocks until the checkpoint is committed on disk. An error
  // is the same on all ranks, names the rank it began on ("rank 3: cannot write ...: No space left
  // on device") and leaves all earlier checkpoints in place and no half one; the job may go on and
  // try again. Only when world.Health() is not OK afterwards has the communicator itself failed:
  // ranks wait in it for the slowest one to write, so its deadline must be longer than that takes.
  absl::Status Save(const SaveArgs& args) const;

  // COLLECTIVE: all ranks of the world. Fills the tensors from the newest checkpoint that is whole;
  // on an error no tensor has changed. Same result on all ranks. kNotFound: no checkpoint at all.
  // kDataLoss: all are damaged. kFailedPrecondition: the newest whole one is of another world size
  // or layout, or a tensor is missing, unexpected or of another type or shape (named).
  absl::StatusOr<LoadedCheckpoint> Load(const LoadArgs& args) const;

 private:
  std::string directory_;
  int32_t keep_;
};

}  // namespace weft
