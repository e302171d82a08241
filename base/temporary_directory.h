#pragma once

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace weft {

// An empty directory of this user alone (mode 0700), gone at the end with all that is in it.
class TemporaryDirectory {
 public:
  static absl::StatusOr<TemporaryDirectory> Make();
  ~TemporaryDirectory();
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryDirectory& operator=(TemporaryDirectory&&) = delete;

  const std::string& path() const { return path_; }

 private:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace weft
