#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"

// Why a job ends: who failed or was lost, and the cause as every rank is told it. The first failure
// that reaches the coordinator becomes the job's first cause and stays.

namespace weft::v1 {
class Failure;
class Member;
}  // namespace weft::v1

namespace weft {

struct Failure {
  int32_t rank = -1;
  int32_t node = -1;
  std::string host;  // empty when the rank was never heard of
  int64_t pid = 0;
  absl::Status cause;  // the message names the origin
};

// "rank 3 (node 1, host a, pid 7)"; host and pid only where known.
std::string DescribeMember(const v1::Member& member);

// `cause` as a message of `origin`. Bytes that are not UTF-8 become U+FFFD and the text is cut at 4
// KiB. REQUIRES: !cause.ok().
v1::Failure MakeFailure(const v1::Member& origin, const absl::Status& cause);

Failure FromMessage(const v1::Failure& message);

}  // namespace weft
