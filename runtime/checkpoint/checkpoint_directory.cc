#include "runtime/checkpoint/checkpoint_directory.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "runtime/storage/durable_file.h"

namespace weft {
namespace {

constexpr std::string_view kStepPrefix = "step-";
constexpr std::string_view kPastMark = ".past-";

// Calls visit(name, is_directory) for everything in the directory.
template <typename Visit>
absl::Status ForEachEntry(const std::string& directory, const Visit& visit) {
  std::error_code error;
  std::filesystem::directory_iterator entry(directory, error);
  while (!error && entry != std::filesystem::directory_iterator()) {
    std::error_code ignored;
    visit(entry->path().filename().string(), entry->is_directory(ignored));
    entry.increment(error);
  }
  if (error) return FileError("cannot list the directory", directory, error.value());
  return absl::OkStatus();
}

// The step of "step-N" in its one spelling, else -1.
int64_t StepOf(const std::string& name) {
  int64_t step = -1;
  if (!name.starts_with(kStepPrefix) || !absl::SimpleAtoi(name.substr(kStepPrefix.size()), &step) ||
      step < 0 || name != absl::StrCat(std::string(kStepPrefix), step)) {
    return -1;
  }
  return step;
}

// Returns how many there were.
absl::StatusOr<size_t> RemoveUnfinished(const std::string& directory) {
  std::vector<std::string> unfinished;
  WEFT_RETURN_IF_ERROR(ForEachEntry(directory, [&](const std::string& name, bool) {
    if (name.find(kTemporaryMark) != std::string::npos) unfinished.push_back(name);
  }));
  for (const std::string& name : unfinished) {
    WEFT_RETURN_IF_ERROR(RemoveTree(absl::StrCat(directory, "/", name)));
  }
  return unfinished.size();
}

// Puts `temporary` in the place of `path`. Where both exist they are swapped, so that at no time
// neither is there.
absl::Status PutInPlace(const std::string& temporary, const std::string& path) {
  if (rename(temporary.c_str(), path.c_str()) == 0) return absl::OkStatus();
  if (errno != ENOTEMPTY && errno != EEXIST) {
    return FileError(absl::StrCat("cannot rename ", temporary, " to"), path, errno);
  }
  if (renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_EXCHANGE) != 0) {
    // A file system that cannot swap: for a moment only earlier checkpoints are there.
    WEFT_RETURN_IF_ERROR(RenameFile(path, path + TemporarySuffix()));
    return RenameFile(temporary, path);
  }
  return absl::OkStatus();
}

absl::Status PointLatestAt(const std::string& directory, int64_t step) {
  const std::string link = directory + "/latest";
  const std::string temporary = link + TemporarySuffix();
  const std::string target = absl::StrCat(std::string(kStepPrefix), step);
  if (symlink(target.c_str(), temporary.c_str()) != 0) {
    return FileError("cannot create the link", temporary, errno);
  }
  return RenameFile(temporary, link);
}

}  // namespace

std::string CheckpointPath(const std::string& directory, int64_t step) {
  return absl::StrCat(directory, "/", std::string(kStepPrefix), step);
}

absl::StatusOr<std::vector<int64_t>> ListCheckpoints(const std::string& directory) {
  std::vector<int64_t> steps;
  std::error_code ignored;
  if (!std::filesystem::exists(directory, ignored)) return steps;
  WEFT_RETURN_IF_ERROR(ForEachEntry(directory, [&](const std::string& name, bool is_directory) {
    if (const int64_t step = StepOf(name); step >= 0 && is_directory) steps.push_back(step);
  }));
  std::sort(steps.begin(), steps.end());
  return steps;
}

absl::StatusOr<std::string> BeginCheckpoint(const std::string& directory, int64_t step) {
  WEFT_RETURN_IF_ERROR(MakeDirectories(directory));
  WEFT_ASSIGN_OR_RETURN(const size_t removed, RemoveUnfinished(directory));
  if (removed > 0) LogInfo(absl::StrCat("removed ", removed, " unfinished save(s) in ", directory));
  std::string suffix = TemporarySuffix();
  const std::string path = CheckpointPath(directory, step) + suffix;
  if (mkdir(path.c_str(), 0755) != 0) return FileError("cannot create the directory", path, errno);
  return suffix;
}

absl::Status CommitCheckpoint(const std::string& directory, const std::string& temporary,
                              const CheckpointManifest& manifest) {
  WEFT_ASSIGN_OR_RETURN(const std::string text, EncodeManifest(manifest));
  // Syncs the temporary directory too, and with it the names of the ranks' files.
  WEFT_RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(temporary, "/", kManifestName), text));
  WEFT_RETURN_IF_ERROR(PutInPlace(temporary, CheckpointPath(directory, manifest.step)));
  return SyncDirectory(directory);
}

absl::Status TidyCheckpoints(const std::string& directory, int64_t step, int32_t keep) {
  WEFT_CHECK(keep >= 1, "at least one checkpoint is kept");
  WEFT_RETURN_IF_ERROR(PointLatestAt(directory, step));
  WEFT_ASSIGN_OR_RETURN(const std::vector<int64_t> steps, ListCheckpoints(directory));
  const auto beyond = std::upper_bound(steps.begin(), steps.end(), step);
  for (auto past = beyond; past != steps.end(); ++past) {
    const std::string path = CheckpointPath(directory, *past);
    std::string aside = path + TemporarySuffix();
    aside.replace(aside.rfind(kTemporaryMark), kTemporaryMark.size(), kPastMark);
    WEFT_RETURN_IF_ERROR(RenameFile(path, aside));
    LogWarning(absl::StrCat("the run went back to step ", step, " behind ", path, ", now ", aside));
  }
  const auto surplus = std::max<ptrdiff_t>(0, beyond - steps.begin() - keep);
  for (auto old = steps.begin(); old != steps.begin() + surplus; ++old) {
    // Under a temporary name first: a crash amid the removal leaves nothing that looks like a
    // checkpoint.
    const std::string path = CheckpointPath(directory, *old);
    WEFT_RETURN_IF_ERROR(RenameFile(path, path + TemporarySuffix()));
  }
  WEFT_RETURN_IF_ERROR(
      RemoveUnfinished(directory).status());  // these, and what the commit replaced
  return SyncDirectory(directory);
}

absl::StatusOr<CheckpointManifest> LoadManifest(const std::string& directory, int64_t step) {
  const std::string path = absl::StrCat(CheckpointPath(directory, step), "/", kManifestName);
  const absl::StatusOr<std::string> text = LoadFile(path);
  if (!text.ok()) {
    return absl::DataLossError(std::string(text.status().message()));
  }
  absl::StatusOr<CheckpointManifest> manifest = ParseManifest(*text);
  if (!manifest.ok()) return WithContext(manifest.status(), path);
  if (manifest->step != step) {
    return absl::DataLossError(absl::StrCat(path, " belongs to step ", manifest->step));
  }
  return manifest;
}

absl::Status VerifyRankFile(const std::string& directory, const CheckpointManifest& manifest,
                            int rank) {
  const FileDigest& expected = manifest.files[static_cast<size_t>(rank)];
  const std::string path =
      absl::StrCat(CheckpointPath(directory, manifest.step), "/", RankFileName(rank));
  const absl::StatusOr<FileDigest> found = DigestFile(path);
  if (!found.ok()) return absl::DataLossError(std::string(found.status().message()));
  if (found->size != expected.size) {
    return absl::DataLossError(
        absl::StrCat(path, " has ", found->size, " bytes; the manifest says ", expected.size));
  }
  if (found->digest != expected.digest) {
    return absl::DataLossError(absl::StrCat(path, " has the digest ", found->digest,
                                            "; the manifest says ", expected.digest));
  }
  return absl::OkStatus();
}

absl::Status VerifyCheckpoint(const std::string& directory, int64_t step) {
  WEFT_ASSIGN_OR_RETURN(const CheckpointManifest manifest, LoadManifest(directory, step));
  for (size_t rank = 0; rank < manifest.files.size(); ++rank) {
    WEFT_RETURN_IF_ERROR(VerifyRankFile(directory, manifest, static_cast<int>(rank)));
  }
  return absl::OkStatus();
}

}  // namespace weft
