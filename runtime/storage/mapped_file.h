#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

// A whole regular file, mapped read-only for as long as the object lives. Files are replaced by
// rename, never rewritten in place (durable_file.h), so a mapping keeps the version it opened; a
// file that someone truncates meanwhile, or a disk that fails under the mapping, ends the program
// with SIGBUS: verify with DigestFile first where that matters.

namespace weft {

class MappedFile {
 public:
  // kNotFound, kPermissionDenied, ...: as open(2) says; kInvalidArgument: not a regular file.
  static absl::StatusOr<MappedFile> Load(const std::string& path);

  MappedFile() = default;
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, void* data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::string path_;
  void* data_ = nullptr;  // nullptr for an empty file
  size_t size_ = 0;
};

}  // namespace weft
