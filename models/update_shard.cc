#include "models/update_shard.h"

#include <algorithm>

namespace weft {

UpdateShard UpdateShardOf(const Layout& layout, RankId rank, const Bucket& bucket) {
  UpdateShard shard;
  if (layout.zero_stage > 0) {
    // Heads are held by the ranks of equal MP index, experts by the copies of their EP member.
    const int32_t apart = bucket.heads ? layout.mp : bucket.expert ? layout.expert_ranks() : 1;
    shard.count = layout.world_size() / apart;
    shard.index = rank.value / apart;
  }
  shard.size = (bucket.elements + shard.count - 1) / shard.count;
  shard.elements.begin = std::min(bucket.elements, shard.index * shard.size);
  shard.elements.end = std::min(bucket.elements, shard.elements.begin + shard.size);
  return shard;
}

}  // namespace weft
