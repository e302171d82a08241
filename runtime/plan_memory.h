#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "graph/plan.h"

namespace weft {

// What plans were measured to take under which load: when a load comes back, so does the plan that
// was the fastest under it, without a search. Tutel keeps such a dictionary by capacity; here rows
// are exact and a load is filed by how full the busiest rank is (ExpertLoads::Fullness). Knows no
// clock: it is fed with step times.
class PlanMemory {
 public:
  // A load of fullness f >= 1 is in bucket floor(8 (f - 1)): eighths of the mean.
  static constexpr int32_t kBucketsPerMean = 8;
  static int32_t BucketOf(double fullness);
  static double BeginOf(int32_t bucket) { return 1 + bucket / double{kBucketsPerMean}; }

  // `plan` runs from the next recorded step on. Plans that issue the same tasks are one.
  void Begin(std::shared_ptr<const Plan> plan);
  // A step under the plan that runs. The first after Begin warms up and does not count. The newest
  // 16 of every plan and bucket are kept: the machine changes as well.
  void Record(int32_t bucket, double step_seconds);

  // The plan with the least median in the bucket, when it is not the one that runs and is faster
  // than that by more than three standard errors of their difference and `switch_seconds`, what
  // changing costs per step. Both must have at least eight steps there.
  struct Recalled {
    std::shared_ptr<const Plan> plan;
    double seconds = 0, running_seconds = 0, noise_seconds = 0;
  };
  std::optional<Recalled> Recall(int32_t bucket, double switch_seconds) const;

  // By bucket, in each the fastest plan first. Plans by the epoch that they first ran as.
  struct Entry {
    int32_t bucket = 0;
    int64_t epoch = 0;
    int32_t steps = 0;
    double seconds = 0;  // median
  };
  std::vector<Entry> Entries() const;
  // What a plan with these tasks took in the bucket nearest to this one; nothing if it never ran.
  std::optional<Entry> Find(const Plan& plan, int32_t bucket) const;

 private:
  struct Measured {
    std::shared_ptr<const Plan> plan;
    int32_t bucket = 0;
    std::deque<double> seconds;

    Entry ToEntry() const;
  };
  // Where the running plan's steps in the bucket are; one past the end when there are none.
  size_t IndexOfRunning(int32_t bucket) const;

  std::vector<std::shared_ptr<const Plan>> plans_;
  std::shared_ptr<const Plan> running_;  // as plans_ has it
  bool warm_ = false;
  std::vector<Measured> measured_;
};

// A table of the entries for people; empty without any.
std::string ToTable(const std::vector<PlanMemory::Entry>& entries);

}  // namespace weft
