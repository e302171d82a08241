#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"

namespace weft {

// How many rows every member of a group has for every member.
struct RowMatrix {
  std::string name;
  int members;
  std::vector<int64_t> rows;  // [source][destination]

  int64_t at(int source, int destination) const {
    return rows[static_cast<size_t>(source) * static_cast<size_t>(members) +
                static_cast<size_t>(destination)];
  }
};

template <typename RowsOf>
RowMatrix MakeRows(const std::string& name, int members, const RowsOf& rows_of) {
  RowMatrix matrix{name, members, {}};
  for (int source = 0; source < members; ++source) {
    for (int destination = 0; destination < members; ++destination) {
      matrix.rows.push_back(rows_of(source, destination));
    }
  }
  return matrix;
}

// Even, random, one-sided and empty loads of a group.
inline std::vector<RowMatrix> RowMatrices(int members) {
  std::vector<RowMatrix> cases;
  const auto add = [&](const std::string& name, const auto& rows_of) {
    cases.push_back(MakeRows(name, members, rows_of));
  };
  add("even", [](int, int) { return 3; });
  for (uint64_t seed : {1, 2, 3}) {
    const CounterRng rng(seed, "rows");
    add(absl::StrCat("random ", seed), [&](int source, int destination) {
      // A third of the pairs has nothing.
      const double u = rng.Uniform(static_cast<uint64_t>(source) * static_cast<uint64_t>(members) +
                                   static_cast<uint64_t>(destination));
      return static_cast<int64_t>(u < 1.0 / 3.0 ? 0 : u * 20);
    });
  }
  add("all zero", [](int, int) { return 0; });
  add("all to the first", [](int, int to) { return to == 0 ? 50 : 0; });
  add("all to the last", [&](int, int to) { return to == members - 1 ? 50 : 0; });
  add("all from one", [&](int from, int) { return from == members / 2 ? 9 : 0; });
  add("nothing from the last", [&](int from, int to) { return from == members - 1 ? 0 : 1 + to; });
  add("nothing to the first", [](int from, int to) { return to == 0 ? 0 : 1 + from; });
  add("own rows only", [](int from, int to) { return from == to ? 6 : 0; });
  add("all but own rows", [](int from, int to) { return from == to ? 0 : 2 + from + 2 * to; });
  return cases;
}

}  // namespace weft
