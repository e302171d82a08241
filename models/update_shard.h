#pragma once

#include <cstdint>

#include "graph/topology.h"
#include "models/parameters.h"
#include "tensor/row_range.h"

namespace weft {

// ZeRO-1: which elements of a bucket that several ranks hold a rank updates, and so has optimizer
// state for. A bucket is cut into as many shards of equal size as ranks hold it, in the order of
// the ranks; the last ones may be short or empty. A function of bucket and rank alone: no plan
// changes it.
struct UpdateShard {
  int32_t count = 1;  // ranks that hold the bucket
  int32_t index = 0;  // this rank's among them
  int64_t size = 0;   // elements of a shard
  RowRange elements;  // of the bucket: this rank's shard

  // Room for all shards, which may be more than the bucket has elements.
  int64_t padded_elements() const { return count * size; }
};

// The whole bucket where the layout has no ZeRO.
UpdateShard UpdateShardOf(const Layout& layout, RankId rank, const Bucket& bucket);

}  // namespace weft
