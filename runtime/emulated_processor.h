#pragma once

#include <cstdint>

#include "comm/sim/alarm.h"

namespace weft {

// Where the computations of an emulated rank run: a slower processor than the real one, of which
// the rank has all. A computation takes its processor time divided by `share`, in its span as well,
// from the moment its needs had ended. The processor time is of the calling thread: products must
// not use others (OMP_NUM_THREADS=1). Not thread-safe: of one stream.
//
// The thread rests when its work is done and the time is not up. That hides what the real
// processor does to it: a thread that gets a core late, as ranks share cores, rests less, and what
// it could not make up is taken from the rest of the next computation.
class EmulatedProcessor {
 public:
  // REQUIRES: 0 < share < 1.
  explicit EmulatedProcessor(double share) : share_(share) {}

  // A computation whose needs had ended at `ready_nanos` of the monotonic clock is about to run on
  // the calling thread. Returns when it began to the eyes of others, which is not after now.
  int64_t Begin(int64_t ready_nanos);
  // It has run: blocks until its time is up.
  void End();

 private:
  const double share_;
  Alarm rest_;             // never rings
  bool prepared_ = false;  // the thread gives its core to others after short slices
  int64_t used_ = 0;       // processor time of the thread when the computation began
  int64_t due_ = 0;        // when the last computation should have ended
  int64_t begin_ = 0;      // when the one that runs should have begun
  int64_t last_end_ = 0;   // when the last one did end
};

}  // namespace weft
