#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace weft {

// Sines and cosines of rotary embeddings: computed once for a (head_dim, theta) and the longest
// length seen.
class RopeTable {
 public:
  struct Entry {
    int64_t length = 0;
    std::vector<float> cosine, sine;  // [length, head_dim / 2]
  };

  // At least `length` rows.
  const Entry& Get(int64_t length, int64_t head_dim, float theta);

 private:
  std::map<std::pair<int64_t, float>, Entry> entries_;
};

}  // namespace weft
