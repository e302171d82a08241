#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "runtime/checkpoint/checkpoint_directory.h"
#include "runtime/checkpoint/checkpoint_store.h"
#include "runtime/checkpoint/rank_report.h"
#include "runtime/checkpoint/safetensors.h"
#include "runtime/storage/durable_file.h"

namespace weft {
namespace {

// Rank 0's share of a save around the writing of the files.
RankReport Begin(const std::string& directory, int64_t step) {
  const absl::StatusOr<std::string> suffix = BeginCheckpoint(directory, step);
  return {suffix.status(), 0, suffix.ok() ? *suffix : ""};
}

RankReport WriteMine(const SaveArgs& args, const std::string& temporary) {
  const int rank = args.world.rank();
  const absl::StatusOr<FileDigest> file =
      WriteSafetensors(absl::StrCat(temporary, "/", RankFileName(rank)), args.tensors,
                       {{"weft.step", absl::StrCat(args.step)},
                        {"weft.rank", absl::StrCat(rank)},
                        {"weft.world_size", absl::StrCat(args.world.size())}});
  if (!file.ok()) return {file.status(), 0, ""};
  return {absl::OkStatus(), file->size, file->digest};
}

RankReport Commit(const SaveArgs& args, const std::string& directory, const std::string& temporary,
                  const std::vector<RankReport>& files) {
  CheckpointManifest manifest{args.step, args.layout, {}, args.metadata};
  for (const RankReport& file : files) manifest.files.push_back({file.number, file.token});
  return {CommitCheckpoint(directory, temporary, manifest), 0, ""};
}

// Best effort: what is left is removed by the next save.
void Discard(const std::string& temporary) {
  if (const absl::Status status = RemoveTree(temporary); !status.ok()) {
    LogWarning(std::string(status.message()));
  }
}

}  // namespace

CheckpointStore::CheckpointStore(std::string directory, int32_t keep)
    : directory_(std::move(directory)), keep_(keep) {
  WEFT_CHECK(keep >= 1, "at least one checkpoint is kept");
}

absl::Status CheckpointStore::Save(const SaveArgs& args) const {
  const bool first = args.world.rank() == 0;
  WEFT_ASSIGN_OR_RETURN(
      const auto begun,
      GatherReports(args.world, first ? Begin(directory_, args.step) : RankReport{}));
  WEFT_RETURN_IF_ERROR(FirstFailure(begun));
  const std::string temporary = CheckpointPath(directory_, args.step) + begun[0].token;

  WEFT_ASSIGN_OR_RETURN(const auto files, GatherReports(args.world, WriteMine(args, temporary)));
  if (const absl::Status status = FirstFailure(files); !status.ok()) {
    if (first) Discard(temporary);
    return status;
  }

  WEFT_ASSIGN_OR_RETURN(
      const auto committed,
      GatherReports(args.world, first ? Commit(args, directory_, temporary, files) : RankReport{}));
  const absl::Status status = FirstFailure(committed);
  if (!first) return status;
  if (!status.ok()) {
    Discard(temporary);
    return status;
  }
  if (const absl::Status tidied = TidyCheckpoints(directory_, args.step, keep_); !tidied.ok()) {
    LogWarning(absl::StrCat("checkpoint of step ", args.step, " is safe, but ", tidied.message()));
  }
  return absl::OkStatus();
}

}  // namespace weft
