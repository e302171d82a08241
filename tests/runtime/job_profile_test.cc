#include "runtime/job_profile.h"

#include <array>

#include "base/status_macros.h"
#include "gtest/gtest.h"
#include "runtime/storage/durable_file.h"
#include "tests/runtime/test_directory.h"
#include "tests/runtime/tiny_job.h"
#include "tests/runtime/two_way_device.h"
#include "tests/support/spawn_ranks.h"

namespace weft {
namespace {

using Methods = std::set<GroupedMethod>;

// Two ranks find the profile of a tiny job, on a device with two ways of computing products of
// groups or on the CPU.
class JobProfileTest : public testing::Test {
 protected:
  struct Found {
    JobProfile profile;  // rank 0's
    std::array<GroupedMethod, 2> methods{};
    Methods used;  // by the kernels of both
  };

  JobProfileTest() { tuning_.profile_seconds = 0.05; }

  absl::StatusOr<Found> Find() {
    const Topology topology{2, 1};
    WorkerOptions options;
    options.model = TinyModel(Backbone::kMixtral);
    options.topology = topology;
    options.layout = {1, 2, 1};
    options.batch = {1, TinyJob::kLength, 1, 2};
    const std::unique_ptr<ComputeDevice> cpu = MakeCpuDevice();
    two_ways_.TakeUsed();
    Found found;
    WEFT_RETURN_IF_ERROR(SpawnRanks(topology.world_size, [&](Backend& backend) -> absl::Status {
      ComputeDevice& device = on_cpu_ ? *cpu : two_ways_;
      const std::unique_ptr<Kernels> kernels = device.MakeKernels();
      WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<Worker> worker,
                            Worker::Connect(backend, *kernels, options));
      WEFT_ASSIGN_OR_RETURN(JobProfile profile, FindJobProfile({.backend = backend,
                                                                .worker = *worker,
                                                                .tuning = tuning_,
                                                                .machine = "a machine",
                                                                .products_so_far = so_far_}));
      found.methods[static_cast<size_t>(backend.rank())] = kernels->grouped_method();
      if (backend.rank() == 0) found.profile = std::move(profile);
      return absl::OkStatus();
    }));
    found.used = two_ways_.TakeUsed();
    return found;
  }

  // Both ranks use it, and no other was tried.
  void ExpectOnly(const absl::StatusOr<Found>& found, GroupedMethod method) {
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->methods[0], method);
    EXPECT_EQ(found->methods[1], method);
    EXPECT_EQ(found->used, Methods{method});
  }

  TestDirectory directory_;
  TwoWayDevice two_ways_;
  bool on_cpu_ = false;
  TuningOptions tuning_;
  std::string so_far_;
};

TEST_F(JobProfileTest, WaysAreMeasuredAndOneStaysOnAllRanks) {
  const auto found = Find();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->methods[0], found->methods[1]);
  EXPECT_EQ(found->used, (Methods{GroupedMethod::kOneByOne, GroupedMethod::kOneLaunch}));
  ASSERT_EQ(found->profile.news.size(), 2u);
  const std::string& news = found->profile.news[0];
  EXPECT_NE(news.find(absl::StrCat("; ", Name(found->methods[0]), " stays")), std::string::npos)
      << news;
  EXPECT_NE(news.find("one_launch "), std::string::npos) << news;
  EXPECT_NE(news.find("one_by_one "), std::string::npos) << news;
  EXPECT_FALSE(found->profile.table.entries.empty());
}

TEST_F(JobProfileTest, WhereThereIsOneWayNothingIsSaidOfIt) {
  on_cpu_ = true;
  const auto found = Find();
  ASSERT_TRUE(found.ok()) << found.status();
  ASSERT_EQ(found->profile.news.size(), 1u);
  EXPECT_EQ(found->profile.news[0].substr(0, 9), "profile: ");
}

TEST_F(JobProfileTest, WhatIsAskedForIsUsed) {
  for (const GroupedMethod method : {GroupedMethod::kOneByOne, GroupedMethod::kOneLaunch}) {
    tuning_.grouped_products = Name(method);
    so_far_ = "one_by_one";
    ExpectOnly(Find(), method);
  }
  on_cpu_ = true;
  const absl::Status refused = Find().status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(refused.message().find(
                "tuning.grouped_products = one_launch: this device has one_by_one alone"),
            std::string::npos)
      << refused;
}

TEST_F(JobProfileTest, ARunKeepsItsWay) {
  so_far_ = "one_by_one";
  ExpectOnly(Find(), GroupedMethod::kOneByOne);
  so_far_ = "one_launch";
  ExpectOnly(Find(), GroupedMethod::kOneLaunch);
  on_cpu_ = true;
  const auto found = Find();
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->profile.news[0],
            "products of groups were computed one_launch, which this device does not have: losses "
            "may differ in the last bits from those of a run that was not stopped");
}

TEST_F(JobProfileTest, ASavedProfileIsOfOneWay) {
  tuning_.grouped_products = "one_by_one";
  const auto made = Find();
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string file = directory_.Write("profile.json", ProfileToJson(made->profile.table));

  tuning_.profile = file;
  tuning_.grouped_products = "auto";
  ExpectOnly(Find(), GroupedMethod::kOneByOne);
  tuning_.grouped_products = "one_launch";
  const absl::Status refused = Find().status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(refused.message().find("was made on another host, layout, emulation or with other "
                                   "products of groups"),
            std::string::npos)
      << refused;
}

}  // namespace
}  // namespace weft
