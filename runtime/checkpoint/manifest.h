#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "runtime/storage/durable_file.h"

// manifest.json: what belongs to one checkpoint. Its presence in a directory named step-N is what
// makes a checkpoint.

namespace weft {

inline constexpr int64_t kManifestSchema = 1;
inline constexpr char kManifestName[] = "manifest.json";

struct CheckpointManifest {
  int64_t step = 0;
  std::string layout;  // how tensors are spread over ranks; equal layouts can load each other
  std::vector<FileDigest> files;  // [world size], of rank-R.safetensors
  std::map<std::string, std::string> metadata;
};

// "rank-3.safetensors"
std::string RankFileName(int rank);

// JSON that ends with a digest of itself. kInvalidArgument: text that is not UTF-8.
absl::StatusOr<std::string> EncodeManifest(const CheckpointManifest& manifest);

// kDataLoss: not the bytes that EncodeManifest wrote. kFailedPrecondition: intact, but of another
// schema.
absl::StatusOr<CheckpointManifest> ParseManifest(std::string_view text);

}  // namespace weft
