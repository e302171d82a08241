#include <algorithm>
#include <cstring>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "runtime/checkpoint/checkpoint_directory.h"
#include "runtime/checkpoint/checkpoint_store.h"
#include "runtime/checkpoint/rank_report.h"
#include "runtime/checkpoint/safetensors.h"
#include "runtime/storage/digest.h"

namespace weft {
namespace {

constexpr int64_t kNoStep = -1;

// Rank 0: the newest committed step below `bound`, or kNoStep.
RankReport NewestBelow(const std::string& directory, int64_t bound) {
  const absl::StatusOr<std::vector<int64_t>> steps = ListCheckpoints(directory);
  if (!steps.ok()) return {steps.status(), kNoStep, ""};
  const auto end = std::lower_bound(steps->begin(), steps->end(), bound);
  return {absl::OkStatus(), end == steps->begin() ? kNoStep : *(end - 1), ""};
}

bool SameShape(const SafetensorsEntry& entry, const Shape& shape) {
  if (static_cast<int>(entry.shape.size()) != shape.rank()) return false;
  for (int i = 0; i < shape.rank(); ++i) {
    if (entry.shape[static_cast<size_t>(i)] != shape[i]) return false;
  }
  return true;
}

// Whether the file holds exactly the tensors that are asked for.
absl::Status CheckTensors(const SafetensorsFile& file, const std::vector<NamedTarget>& targets) {
  std::set<std::string_view> wanted;
  for (const NamedTarget& target : targets) {
    wanted.insert(target.name);
    const SafetensorsEntry* entry = file.Find(target.name);
    if (entry == nullptr) {
      return absl::FailedPreconditionError(
          absl::StrCat("tensor '", target.name, "' is missing from the checkpoint"));
    }
    const std::string dtype(SafetensorsDType(target.view.dtype));
    if (entry->dtype != dtype || !SameShape(*entry, target.view.shape)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "tensor '", target.name, "' is ", entry->dtype, " [", absl::StrJoin(entry->shape, ", "),
          "] in the checkpoint but ", dtype, " ", target.view.shape.ToString(), " in this job"));
    }
  }
  for (const SafetensorsEntry& entry : file.header().tensors) {
    if (wanted.contains(entry.name)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("the checkpoint holds tensor '", entry.name, "', which this job lacks"));
  }
  return absl::OkStatus();
}

// One rank's part of one checkpoint, verified.
struct Candidate {
  CheckpointManifest manifest;
  SafetensorsFile file;
  std::vector<NamedTarget> targets;
};

absl::StatusOr<Candidate> Verify(const std::string& directory, int64_t step, const LoadArgs& args) {
  WEFT_ASSIGN_OR_RETURN(CheckpointManifest manifest, LoadManifest(directory, step));
  const auto ranks = static_cast<int>(manifest.files.size());
  if (ranks != args.world.size()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the checkpoint was written by ", ranks, " rank(s); this job has ", args.world.size()));
  }
  if (manifest.layout != args.layout) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the checkpoint has the layout '", manifest.layout, "'; this job has '", args.layout, "'"));
  }
  WEFT_RETURN_IF_ERROR(VerifyRankFile(directory, manifest, args.world.rank()));
  const std::string path =
      absl::StrCat(CheckpointPath(directory, step), "/", RankFileName(args.world.rank()));
  absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Load(path);
  if (!file.ok()) return absl::DataLossError(std::string(file.status().message()));
  WEFT_ASSIGN_OR_RETURN(std::vector<NamedTarget> targets, args.tensors(manifest.metadata));
  WEFT_RETURN_IF_ERROR(CheckTensors(*file, targets));
  return Candidate{std::move(manifest), *std::move(file), std::move(targets)};
}

// What all ranks think of a candidate: OK, kFailedPrecondition when it is whole but does not fit,
// else that it is damaged. Damage comes first: where one rank sees it, the checkpoint is passed
// over.
absl::Status Judge(const std::vector<RankReport>& reports) {
  std::vector<RankReport> damaged = reports;
  for (RankReport& report : damaged) {
    if (report.status.code() == absl::StatusCode::kFailedPrecondition) report.status = {};
  }
  WEFT_RETURN_IF_ERROR(FirstFailure(damaged));
  WEFT_RETURN_IF_ERROR(FirstFailure(reports));
  for (size_t rank = 1; rank < reports.size(); ++rank) {
    if (reports[rank].token != reports[0].token) {
      return absl::DataLossError(absl::StrCat("rank ", rank, " sees another manifest than rank 0"));
    }
  }
  return absl::OkStatus();
}

// A digest of what the manifest says, for comparison between ranks.
std::string DigestOfManifest(const CheckpointManifest& manifest) {
  const absl::StatusOr<std::string> text = EncodeManifest(manifest);
  return text.ok() ? DigestOf(*text) : "";
}

void CopyOut(const SafetensorsFile& file, const std::vector<NamedTarget>& targets) {
  for (const NamedTarget& target : targets) {
    const std::string_view data = file.Data(*file.Find(target.name));
    if (!data.empty()) std::memcpy(target.view.data, data.data(), data.size());
  }
}

}  // namespace

absl::StatusOr<LoadedCheckpoint> CheckpointStore::Load(const LoadArgs& args) const {
  const bool first = args.world.rank() == 0;
  LoadedCheckpoint loaded;
  int64_t bound = std::numeric_limits<int64_t>::max();
  while (true) {
    WEFT_ASSIGN_OR_RETURN(
        const auto proposals,
        GatherReports(args.world, first ? NewestBelow(directory_, bound) : RankReport{}));
    WEFT_RETURN_IF_ERROR(FirstFailure(proposals));
    const int64_t step = proposals[0].number;
    if (step == kNoStep) break;

    const absl::StatusOr<Candidate> mine = Verify(directory_, step, args);
    WEFT_ASSIGN_OR_RETURN(
        const auto reports,
        GatherReports(args.world,
                      {mine.status(), 0, mine.ok() ? DigestOfManifest(mine->manifest) : ""}));
    const absl::Status verdict =
        WithContext(Judge(reports), "checkpoint " + CheckpointPath(directory_, step));
    if (verdict.ok()) {
      CopyOut(mine->file, mine->targets);
      loaded.step = step;
      loaded.metadata = mine->manifest.metadata;
      return loaded;
    }
    if (verdict.code() == absl::StatusCode::kFailedPrecondition) return verdict;
    loaded.passed_over.emplace_back(verdict.message());
    if (first) {
      LogWarning(absl::StrCat(verdict.message(), "; it is passed over for the one before it"));
    }
    bound = step;
  }
  if (loaded.passed_over.empty()) {
    return absl::NotFoundError(absl::StrCat(directory_, " holds no checkpoint"));
  }
  return absl::DataLossError(absl::StrCat(
      "no checkpoint in ", directory_, " can be used: ", absl::StrJoin(loaded.passed_over, "; ")));
}

}  // namespace weft
