#include "runtime/storage/durable_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "runtime/storage/digest.h"

namespace weft {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

std::string ParentOf(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// Calls sink(chunk) for the whole content, in order.
template <typename Sink>
absl::Status ReadThrough(const std::string& path, const Sink& sink) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return FileError("cannot open", path, errno);
  std::vector<char> chunk(kBufferBytes);
  absl::Status status;
  while (true) {
    const ssize_t count = read(descriptor, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) status = FileError("cannot read", path, errno);
    if (count <= 0) break;
    sink(std::string_view(chunk.data(), static_cast<size_t>(count)));
  }
  close(descriptor);
  return status;
}

}  // namespace

absl::Status FileError(std::string_view what, const std::string& path, int error_number) {
  const std::string text = std::error_code(error_number, std::generic_category()).message();
  return {absl::ErrnoToStatusCode(error_number),
          absl::StrCat(std::string(what), " ", path, ": ", text)};
}

absl::StatusOr<FileWriter> FileWriter::Make(const std::string& path) {
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (descriptor < 0) return FileError("cannot create", path, errno);
  return FileWriter(path, descriptor);
}

FileWriter::FileWriter(FileWriter&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(std::exchange(other.size_, 0)),
      buffer_(std::move(other.buffer_)) {}

FileWriter::~FileWriter() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::Status FileWriter::Append(std::string_view bytes) {
  WEFT_CHECK(descriptor_ >= 0, "Append after Close");
  size_ += static_cast<int64_t>(bytes.size());
  if (buffer_.size() + bytes.size() > kBufferBytes) {
    WEFT_RETURN_IF_ERROR(WriteOut(buffer_));
    buffer_.clear();
  }
  if (bytes.size() > kBufferBytes) return WriteOut(bytes);
  buffer_.append(bytes);
  return absl::OkStatus();
}

absl::Status FileWriter::WriteOut(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(descriptor_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return FileError("cannot write", path_, errno);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status FileWriter::Close() {
  WEFT_CHECK(descriptor_ >= 0, "Close twice");
  absl::Status status = WriteOut(buffer_);
  if (status.ok() && fsync(descriptor_) != 0) status = FileError("cannot sync", path_, errno);
  if (close(std::exchange(descriptor_, -1)) != 0 && status.ok()) {
    status = FileError("cannot close", path_, errno);
  }
  return status;
}

absl::StatusOr<AtomicFile> AtomicFile::Make(const std::string& path) {
  WEFT_ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Make(path + TemporarySuffix()));
  return AtomicFile(path, std::move(writer));
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::exchange(other.path_, {})), writer_(std::move(other.writer_)) {}

AtomicFile::~AtomicFile() {
  if (!path_.empty()) unlink(writer_.path().c_str());
}

absl::Status AtomicFile::Commit() {
  WEFT_RETURN_IF_ERROR(writer_.Close());
  WEFT_RETURN_IF_ERROR(RenameFile(writer_.path(), path_));
  return SyncDirectory(ParentOf(std::exchange(path_, {})));
}

absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes) {
  WEFT_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Make(path));
  WEFT_RETURN_IF_ERROR(file.Append(bytes));
  return file.Commit();
}

absl::StatusOr<std::string> LoadFile(const std::string& path) {
  std::string content;
  WEFT_RETURN_IF_ERROR(
      ReadThrough(path, [&content](std::string_view chunk) { content.append(chunk); }));
  return content;
}

absl::StatusOr<FileDigest> DigestFile(const std::string& path) {
  FileDigest result;
  Digester digester;
  WEFT_RETURN_IF_ERROR(ReadThrough(path, [&](std::string_view chunk) {
    digester.Append(chunk);
    result.size += static_cast<int64_t>(chunk.size());
  }));
  result.digest = digester.Hex();
  return result;
}

absl::Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return FileError("cannot create the directory", path, error.value());
  return absl::OkStatus();
}

absl::Status SyncDirectory(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return FileError("cannot open the directory", path, errno);
  absl::Status status;
  if (fsync(descriptor) != 0) status = FileError("cannot sync the directory", path, errno);
  close(descriptor);
  return status;
}

absl::Status RenameFile(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
  return FileError(absl::StrCat("cannot rename ", from, " to"), to, errno);
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return FileError("cannot remove", path, error.value());
  return absl::OkStatus();
}

std::string TemporarySuffix() {
  uint64_t bits = 0;
  WEFT_CHECK(getrandom(&bits, sizeof bits, 0) == sizeof bits, "getrandom never fails for 8 bytes");
  return absl::StrCat(std::string(kTemporaryMark), absl::Hex(bits, absl::kZeroPad16));
}

}  // namespace weft
