#include "launch/control/run_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/status_macros.h"

namespace weft {
namespace {

using nlohmann::json;

constexpr char kRunDirectoryFile[] = "run_directory";

std::string Path(const std::string& directory, const char* name) {
  return absl::StrCat(directory, "/", name);
}

absl::Status SystemError(const std::string& what) { return absl::ErrnoToStatus(errno, what); }

enum class IfPresent { kReplace, kKeep };

// Under a name of its own first, then by one rename or link: no reader sees a part of it.
absl::Status WriteWhole(const std::string& path, const std::string& text, IfPresent if_present) {
  static std::atomic<int64_t> drafts = 0;
  const std::string draft =
      absl::StrCat(path, ".", getpid(), ".", MonotonicClock().NowNanos(), ".", drafts++);
  {
    std::ofstream file(draft, std::ios::binary | std::ios::trunc);
    file << text;
    if (!file.flush()) return SystemError(absl::StrCat("cannot write ", draft));
  }
  if (if_present == IfPresent::kReplace) {
    if (std::rename(draft.c_str(), path.c_str()) == 0) return absl::OkStatus();
    return SystemError(absl::StrCat("cannot write ", path));
  }
  const bool linked = link(draft.c_str(), path.c_str()) == 0;
  absl::Status status = linked || errno == EEXIST
                            ? absl::OkStatus()
                            : SystemError(absl::StrCat("cannot write ", path));
  unlink(draft.c_str());
  return status;
}

std::string Text(const json& object) {
  return object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
}

absl::StatusOr<std::string> LoadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat(path, " does not exist"));
  return std::string(std::istreambuf_iterator<char>(file), {});
}

absl::StatusOr<json> LoadObject(const std::string& path) {
  WEFT_ASSIGN_OR_RETURN(const std::string text, LoadText(path));
  json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return absl::DataLossError(absl::StrCat(path, " is not a JSON object"));
  return object;
}

absl::Status WrongKey(const std::string& path, const char* key) {
  return absl::DataLossError(absl::StrCat(path, ": key '", key, "' is missing or of another type"));
}

absl::Status Read(const std::string& path, const json& object, const char* key,
                  std::string& value) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_string()) return WrongKey(path, key);
  value = it->get<std::string>();
  return absl::OkStatus();
}

absl::Status Read(const std::string& path, const json& object, const char* key, int64_t& value) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_number_integer()) return WrongKey(path, key);
  value = it->get<int64_t>();
  return absl::OkStatus();
}

}  // namespace

std::string UtcNow() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone());
}

ServiceFile MakeServiceFile(const std::string& address, uint64_t job_id) {
  return ServiceFile{address, getpid(), UtcNow(), job_id};
}

absl::Status WriteServiceFile(const std::string& run_directory, const ServiceFile& file) {
  // The id as text: 64 bits do not survive readers that hold numbers as doubles.
  const json object = {{"address", file.address},
                       {"pid", file.pid},
                       {"started", file.started},
                       {"job_id", absl::StrCat(absl::Hex(file.job_id, absl::kZeroPad16))}};
  return WriteWhole(Path(run_directory, "service.json"), Text(object), IfPresent::kReplace);
}

absl::StatusOr<ServiceFile> LoadServiceFile(const std::string& run_directory) {
  const std::string path = Path(run_directory, "service.json");
  WEFT_ASSIGN_OR_RETURN(const json object, LoadObject(path));
  ServiceFile file;
  std::string job_id;
  WEFT_RETURN_IF_ERROR(Read(path, object, "address", file.address));
  WEFT_RETURN_IF_ERROR(Read(path, object, "pid", file.pid));
  WEFT_RETURN_IF_ERROR(Read(path, object, "started", file.started));
  WEFT_RETURN_IF_ERROR(Read(path, object, "job_id", job_id));
  if (!absl::SimpleHexAtoi(job_id, &file.job_id)) return WrongKey(path, "job_id");
  return file;
}

void RemoveServiceFile(const std::string& run_directory) {
  unlink(Path(run_directory, "service.json").c_str());
}

absl::Status WriteFailureFile(const std::string& run_directory, const Failure& failure) {
  const json object = {{"rank", failure.rank},
                       {"node", failure.node},
                       {"host", failure.host},
                       {"pid", failure.pid},
                       {"code", static_cast<int>(failure.cause.code())},
                       {"message", std::string(failure.cause.message())},
                       {"written", UtcNow()}};
  return WriteWhole(Path(run_directory, "failure.json"), Text(object), IfPresent::kKeep);
}

absl::StatusOr<Failure> LoadFailureFile(const std::string& run_directory) {
  const std::string path = Path(run_directory, "failure.json");
  WEFT_ASSIGN_OR_RETURN(const json object, LoadObject(path));
  Failure failure;
  int64_t rank = -1;
  int64_t node = -1;
  int64_t code = 0;
  std::string message;
  WEFT_RETURN_IF_ERROR(Read(path, object, "rank", rank));
  WEFT_RETURN_IF_ERROR(Read(path, object, "node", node));
  WEFT_RETURN_IF_ERROR(Read(path, object, "host", failure.host));
  WEFT_RETURN_IF_ERROR(Read(path, object, "pid", failure.pid));
  WEFT_RETURN_IF_ERROR(Read(path, object, "code", code));
  WEFT_RETURN_IF_ERROR(Read(path, object, "message", message));
  failure.rank = static_cast<int32_t>(rank);
  failure.node = static_cast<int32_t>(node);
  failure.cause = absl::Status(static_cast<absl::StatusCode>(code), message);
  return failure;
}

void RemoveOutcomeFiles(const std::string& run_directory) {
  unlink(Path(run_directory, "failure.json").c_str());
  unlink(Path(run_directory, "exit.json").c_str());
}

absl::Status WriteExitFile(const std::string& run_directory, const ExitFile& file) {
  const json object = {{"exit_code", file.exit_code},
                       {"reason", file.reason},
                       {"rank", file.rank},
                       {"mpirun_status", file.mpirun_status},
                       {"ended", file.ended}};
  return WriteWhole(Path(run_directory, "exit.json"), Text(object), IfPresent::kReplace);
}

absl::Status AnnounceRunDirectory(const std::string& run_directory) {
  const char* const launch_directory = std::getenv(kLaunchDirectoryVariable);
  if (launch_directory == nullptr) return absl::OkStatus();
  return WriteWhole(Path(launch_directory, kRunDirectoryFile), run_directory, IfPresent::kReplace);
}

absl::StatusOr<std::string> LoadAnnouncedRunDirectory(const std::string& launch_directory) {
  return LoadText(Path(launch_directory, kRunDirectoryFile));
}

}  // namespace weft
