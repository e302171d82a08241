#pragma once

#include <cstdint>

namespace weft {

// How far threads step back where cores are fewer than threads: those that move messages keep level
// 0 and wake up at once, products give way to them (docs/decisions/0011), and what nobody waits for
// takes what is left.
inline constexpr int kComputeNice = 10;
inline constexpr int kBackgroundNice = 19;

// Sets the nice level of the calling thread alone, which on Linux has one of its own. Raising one's
// own level needs no right.
void SetOwnNice(int level);

// Asks for slices of so many nanoseconds for the calling thread alone: it is preempted, and gets a
// core after waking up, the sooner. Needs Linux 6.12 and no right; elsewhere nothing happens.
void SetOwnSlice(int64_t nanos);

}  // namespace weft
