#pragma once

#include <string>

#include "graph/profile_table.h"

// How well the cost model fits what was measured, for people: `weft profile` prints it, a refused
// line says why.

namespace weft {

// What CostSample::size counts under this key (graph/cost_key.h).
enum class SizeUnit { kBytes, kFlops, kElements };
SizeUnit SizeUnitOf(const CostKey& key);

// "1.5 MiB", "2.0 GFLOP", "12.3 k".
std::string FormatSize(const CostKey& key, double size);
// 1/beta: "1.2 GiB/s", "34.0 GFLOP/s", "5.0 M/s"; "-" when beta is 0 (the size costs nothing).
std::string FormatRate(const CostKey& key, double beta);

// Why the entry's line is refused, with the sizes that misfit most: "median residual 24.0% >
// 10%: 1.0 KiB +31%". Empty when it is accepted.
std::string RefusalOf(const CostKey& key, const CostEntry& entry);

// One line a key, in the order of the keys, under a header; columns are aligned, every line ends in
// '\n': key, samples, sizes, latency (alpha), rate (1/beta), r2, median residual, "accepted" or why
// not.
std::string ResidualsTable(const ProfileTable& table);

}  // namespace weft
