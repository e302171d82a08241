#include <cstdio>
#include <cstdlib>

#include "base/status_macros.h"
#include "comm/inproc/inproc_world.h"
#include "tests/runtime/checkpoint/saved_job.h"

// checkpoint_writer DIRECTORY STEP VALUE: one save with keep = 1, for the crash test. Exit 0:
// saved, 3: an error.

namespace weft {
namespace {

// On the main thread: strace counts calls by thread.
absl::Status Save(const std::string& directory, int64_t step, int64_t value) {
  const std::unique_ptr<Backend> backend = InprocWorld::Make(1)->MakeBackend(RankId{0});
  WEFT_ASSIGN_OR_RETURN(const auto world, ConnectWorld(*backend));
  SavedJob job(0);
  job.Set(value);
  return CheckpointStore(directory, /*keep=*/1).Save({*world, step, "one", job.Tensors(), {}});
}

}  // namespace
}  // namespace weft

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: checkpoint_writer DIRECTORY STEP VALUE\n");
    return 2;
  }
  return weft::Save(argv[1], std::atoll(argv[2]), std::atoll(argv[3])).ok() ? 0 : 3;
}
