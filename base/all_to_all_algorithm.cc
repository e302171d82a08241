#include "base/all_to_all_algorithm.h"

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"direct", "pipe", "2dh", "1dh"};
static_assert(kNames.size() == kAllToAllAlgorithms.size());

}  // namespace

std::string_view Name(AllToAllAlgorithm algorithm) {
  return kNames[static_cast<size_t>(algorithm)];
}

absl::StatusOr<AllToAllAlgorithm> ParseAllToAllAlgorithm(std::string_view name) {
  for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
    if (Name(algorithm) == name) return algorithm;
  }
  return absl::InvalidArgumentError(absl::StrCat("all-to-all algorithm '",
                                                 absl::string_view(name.data(), name.size()),
                                                 "': must be direct, pipe, 2dh or 1dh"));
}

}  // namespace weft
