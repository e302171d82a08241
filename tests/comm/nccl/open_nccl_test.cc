#include "comm/nccl/open_nccl.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"

namespace weft {
namespace {

bool Says(const absl::Status& status, const std::string& words) {
  return absl::StrContains(std::string(status.message()), words);
}

TEST(OpenNcclTest, ALibraryThatIsNotThereIsNamed) {
  const absl::Status status = OpenNccl("libnccl-not-there.so.2").status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(Says(status, "no NCCL: cannot open its library: libnccl-not-there.so.2")) << status;
}

TEST(OpenNcclTest, AnotherLibraryIsNotTakenForIt) {
  const absl::Status status = OpenNccl("libm.so.6").status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_EQ(status.message(), "no NCCL: libm.so.6 has no ncclGetVersion");
}

TEST(OpenNcclTest, TheLibraryIsThereOrTheReasonIsSaid) {
  const auto nccl = LoadNccl();
  if (!nccl.ok()) {
    EXPECT_TRUE(absl::IsUnavailable(nccl.status())) << nccl.status();
    EXPECT_TRUE(Says(nccl.status(), "no NCCL: ")) << nccl.status();
    GTEST_SKIP() << nccl.status().message();
  }
  int version = 0;
  EXPECT_EQ((*nccl)->GetVersion(&version), ncclSuccess);
  EXPECT_GE(version, NCCL_VERSION(NCCL_MAJOR, NCCL_MINOR, 0));
}

}  // namespace
}  // namespace weft
