#include "models/update_shard.h"

#include <algorithm>

namespace weft {

UpdateShard UpdateShardOf(const Layout& layout, RankId rank, const Bucket& bucket) {
  UpdateShard shard;
  if (layout.zero_stage > 0 && !bucket.expert) {
    // Heads are held by the ranks of equal MP index.
    const int32_t sharers = bucket.heads ? layout.mp : 1;
    shard.count = layout.world_size() / sharers;
    shard.index = rank.value / sharers;
  }
  shard.size = (bucket.elements + shard.count - 1) / shard.count;
  shard.elements.begin = std::min(bucket.elements, shard.index * shard.size);
  shard.elements.end = std::min(bucket.elements, shard.elements.begin + shard.size);
  return shard;
}

}  // namespace weft
