#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "profiler/sample.h"

// The cost model refined by the running job, because links and clocks drift. It keeps what tasks
// cost alone: a live sample is divided by what the calibrated contention says that running beside
// other streams added to it. Life of a key: the calibration seeds its size buckets (a quarter
// octave each); every step's samples enter exponentially weighted means in the buckets that they
// fall into; what the job really pays against the calibrated curve is the key's drift; Refresh()
// shifts the calibrated points by what the live means near them say, blends them with the live
// means and fits a line. So the sizes that the job uses follow the job, and the sizes that it does
// not use keep the calibration's shape, without which the slope could not be known while every
// message has one size.

namespace weft {

struct OnlineOptions {
  double half_life_steps = 50;  // a sample's weight halves in so many steps
  double max_weight = 10;       // a bucket weighs at most as much as so many calibrated ones
};

// Same calibration and same samples in the same order: the same table, bit for bit. Memory is
// bounded by the number of keys times the buckets of the sizes seen (at most 257 a key). Not
// thread-safe.
class OnlineCosts {
 public:
  explicit OnlineCosts(const ProfileTable& calibration, const OnlineOptions& options = {});

  // Samples of one step, with what ran beside them, under a plan with this limit. Samples without a
  // positive, finite time and a finite size are ignored. REQUIRES: steps do not decrease.
  void Record(int64_t step, std::span<const KeyedSample> samples, int32_t sm_limit = 0);

  // Live cost / calibrated cost of the key as of the last recorded step: 1.2 = 20% slower than
  // calibrated. 1 for a key that was not calibrated or not seen since.
  double DriftOf(const CostKey& key) const;

  // The calibration's fingerprint and contention; an entry for every key calibrated or seen, its
  // samples one a bucket.
  ProfileTable Refresh() const;

 private:
  struct Mean {
    double weight = 0;
    double size = 0;
    double seconds = 0;
    void Add(double new_size, double new_seconds, double new_weight);
  };
  struct Bucket {
    Mean calibrated;
    Mean live;
  };
  struct Costs {
    std::map<int, Bucket> buckets;  // by SizeBucketOf(size)
    LinearCost calibrated_fit;
    bool calibrated = false;
    int64_t last_step = 0;  // live weights are as of this step
  };

  double Decay(const Costs& costs, int64_t step) const;
  double CalibratedSeconds(const Costs& costs, double size) const;
  double LogDrift(const Costs& costs) const;
  double Drifted(const Costs& costs, double size, double seconds) const;
  CostEntry Refresh(const CostKey& key, const Costs& costs) const;

  OnlineOptions options_;
  ProfileTable calibration_;  // without its entries
  int64_t step_ = 0;
  std::map<CostKey, Costs> costs_;
};

}  // namespace weft
