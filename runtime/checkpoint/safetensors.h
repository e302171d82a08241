#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "runtime/checkpoint/safetensors_header.h"
#include "runtime/storage/durable_file.h"
#include "runtime/storage/mapped_file.h"

// Tensors in a file that every Python user can open. Writing streams straight from the tensors'
// memory; reading maps.

namespace weft {

// Writes a new file and fsyncs it; the digest is taken on the way. The file's name is not yet
// durable (SyncDirectory). REQUIRES: the tensors lie in host memory.
absl::StatusOr<FileDigest> WriteSafetensors(const std::string& path,
                                            std::span<const NamedTensor> tensors,
                                            const std::map<std::string, std::string>& metadata);

class SafetensorsFile {
 public:
  // Errors name the path (ParseSafetensorsHeader).
  static absl::StatusOr<SafetensorsFile> Load(const std::string& path);

  const SafetensorsHeader& header() const { return header_; }
  // nullptr: no tensor of that name.
  const SafetensorsEntry* Find(std::string_view name) const;
  // The data of an entry of this file's header; valid as long as the file object.
  std::string_view Data(const SafetensorsEntry& entry) const;

 private:
  SafetensorsFile(MappedFile file, SafetensorsHeader header);

  MappedFile file_;
  SafetensorsHeader header_;
  std::map<std::string_view, const SafetensorsEntry*> by_name_;
};

}  // namespace weft
