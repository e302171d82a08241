#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Files that are either wholly there or not there at all, also after a power cut: written under a
// temporary name, fsynced, renamed into place, and the directory fsynced. Every error names the
// path and what the system said ("cannot write data/x.bin: No space left on device");
// kResourceExhausted is a full disk.

namespace weft {

// "<what> <path>: <strerror>" under the code that fits errno.
absl::Status FileError(std::string_view what, const std::string& path, int error_number);

// Writes one new file from front to back through a buffer. A file that was not closed stays behind
// as it is.
class FileWriter {
 public:
  // Fails when the path exists.
  static absl::StatusOr<FileWriter> Make(const std::string& path);

  FileWriter(FileWriter&& other) noexcept;
  FileWriter& operator=(FileWriter&&) = delete;
  ~FileWriter();  // closes without any promise when Close was not called

  absl::Status Append(std::string_view bytes);
  // Blocks until the content is on disk (fsync), then closes. Nothing may follow.
  absl::Status Close();

  int64_t size() const { return size_; }
  const std::string& path() const { return path_; }

 private:
  FileWriter(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  absl::Status WriteOut(std::string_view bytes);

  std::string path_;
  int descriptor_;
  int64_t size_ = 0;
  std::string buffer_;
};

// A FileWriter under a temporary name beside `path`. Commit() puts it in place, replacing what
// stood there; without it the destructor removes the temporary file.
class AtomicFile {
 public:
  static absl::StatusOr<AtomicFile> Make(const std::string& path);

  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  absl::Status Append(std::string_view bytes) { return writer_.Append(bytes); }
  int64_t size() const { return writer_.size(); }
  // Blocks until content and name are on disk.
  absl::Status Commit();

 private:
  AtomicFile(std::string path, FileWriter writer)
      : path_(std::move(path)), writer_(std::move(writer)) {}

  std::string path_;  // empty once committed or moved from
  FileWriter writer_;
};

absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes);

// The whole content by read(2): a failing disk is a Status. For small files.
absl::StatusOr<std::string> LoadFile(const std::string& path);

struct FileDigest {
  int64_t size = 0;
  std::string digest;  // runtime/storage/digest.h
};
// Reads the whole file by read(2).
absl::StatusOr<FileDigest> DigestFile(const std::string& path);

absl::Status MakeDirectories(const std::string& path);  // with parents; existing ones are fine
absl::Status SyncDirectory(const std::string& path);
absl::Status RenameFile(const std::string& from, const std::string& to);
absl::Status RemoveTree(const std::string& path);  // an absent path is fine

// ".tmp-" and 16 random hexadecimal digits: every name that holds kTemporaryMark is unfinished
// work.
inline constexpr std::string_view kTemporaryMark = ".tmp-";
std::string TemporarySuffix();

}  // namespace weft
