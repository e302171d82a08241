#include "comm/nccl/open_nccl.h"

#include <dlfcn.h>

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

// What a communicator's configuration looks like changes with the minor version.
constexpr int kOldest = NCCL_VERSION(NCCL_MAJOR, NCCL_MINOR, 0);

// One library, function by function; the first that is missing is remembered.
class Symbols {
 public:
  explicit Symbols(void* library) : library_(library) {}

  template <typename Function>
  void Take(const char* name, Function*& into) {
    void* const found = dlsym(library_, name);
    if (found == nullptr && missing_.empty()) missing_ = name;
    into = reinterpret_cast<Function*>(found);
  }
  const std::string& missing() const { return missing_; }

 private:
  void* library_;
  std::string missing_;
};

std::string Version(int version) {
  return absl::StrCat(version / 10000, ".", version / 100 % 100, ".", version % 100);
}

}  // namespace

absl::StatusOr<NcclLibrary> OpenNccl(const std::string& name) {
  void* const library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return absl::UnavailableError(absl::StrCat("no NCCL: cannot open its library: ", dlerror()));
  }
  Symbols symbols(library);
  NcclLibrary nccl{};
  symbols.Take("ncclGetVersion", nccl.GetVersion);
  symbols.Take("ncclGetErrorString", nccl.GetErrorString);
  symbols.Take("ncclGetLastError", nccl.GetLastError);
  symbols.Take("ncclGetUniqueId", nccl.GetUniqueId);
  symbols.Take("ncclCommInitRankConfig", nccl.CommInitRankConfig);
  symbols.Take("ncclCommSplit", nccl.CommSplit);
  symbols.Take("ncclCommFinalize", nccl.CommFinalize);
  symbols.Take("ncclCommDestroy", nccl.CommDestroy);
  symbols.Take("ncclCommAbort", nccl.CommAbort);
  symbols.Take("ncclCommGetAsyncError", nccl.CommGetAsyncError);
  symbols.Take("ncclGroupStart", nccl.GroupStart);
  symbols.Take("ncclGroupEnd", nccl.GroupEnd);
  symbols.Take("ncclAllReduce", nccl.AllReduce);
  symbols.Take("ncclAllGather", nccl.AllGather);
  symbols.Take("ncclReduceScatter", nccl.ReduceScatter);
  symbols.Take("ncclBroadcast", nccl.Broadcast);
  symbols.Take("ncclReduce", nccl.Reduce);
  symbols.Take("ncclSend", nccl.Send);
  symbols.Take("ncclRecv", nccl.Recv);
  if (!symbols.missing().empty()) {
    return absl::UnavailableError(absl::StrCat("no NCCL: ", name, " has no ", symbols.missing()));
  }
  int version = 0;
  if (nccl.GetVersion(&version) != ncclSuccess || version < kOldest) {
    return absl::UnavailableError(absl::StrCat("no NCCL: ", name, " is version ", Version(version),
                                               "; this build needs ", Version(kOldest),
                                               " or later"));
  }
  return nccl;
}

absl::StatusOr<const NcclLibrary*> LoadNccl() {
  static const auto* const opened = new absl::StatusOr<NcclLibrary>(OpenNccl("libnccl.so.2"));
  if (!opened->ok()) return opened->status();
  return &**opened;
}

}  // namespace weft
