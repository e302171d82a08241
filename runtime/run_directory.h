#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace weft {

// runs/<date-time>-<name>/: everything one run leaves behind. `latest` beside it points at the
// newest.
class RunDirectory {
 public:
  // Rank 0: makes the directory (never an existing one) and points `latest` at it.
  static absl::StatusOr<RunDirectory> Make(const std::string& parent, const std::string& name);
  // The other ranks, and a resumed run: an existing one.
  static RunDirectory At(const std::string& path) { return RunDirectory(path); }

  const std::string& path() const { return path_; }
  std::string Join(std::string_view file) const;
  // Atomically.
  absl::Status Write(std::string_view file, std::string_view content) const;

 private:
  explicit RunDirectory(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

}  // namespace weft
