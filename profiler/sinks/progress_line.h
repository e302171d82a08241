#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"

// What a person sees while the job runs: on a terminal one line that is rewritten every step,
// elsewhere (a file, a cluster's log) a plain line every few steps.

namespace weft {

struct Progress {
  int64_t step = 0;  // the one that has just ended
  int64_t total_steps = 0;
  double loss = 0;
  double val_bits_per_byte = 0;  // 0: not yet known
  double tokens_per_second = 0;
  int64_t plan_epoch = 0;
  double predicted_step_seconds = 0;  // 0: nothing was predicted
  double measured_step_seconds = 0;
  double hidden_communication_seconds = 0;
  double exposed_communication_seconds = 0;
};

// "step 120/300  loss 2.3142  val 2.981 bits/byte  41.2 k tokens/s  plan 3  step 18.2 ms
// (predicted 17.9 ms)
//  comm 4.10 ms hidden, 1.20 ms exposed", on one line.
std::string FormatProgress(const Progress& progress);

struct ProgressStyle {
  bool live = false;    // rewrite one line with carriage returns
  bool color = false;   // dim what is context, as terminals allow
  size_t columns = 80;  // of the terminal; a live line is cut to fit
  int64_t plain_every =
      10;  // steps between plain lines; the first and the last step are always shown
};

// Live on a terminal unless TERM is unset or "dumb"; coloured when live unless NO_COLOR is set and
// not empty.
ProgressStyle DetectProgressStyle(int fd);

class ProgressLine {
 public:
  // Writes to `fd`, which stays open and the caller's.
  ProgressLine(int fd, const ProgressStyle& style);
  ~ProgressLine();  // as Finish

  // Shows the step, or nothing where plain lines are not due.
  absl::Status Show(const Progress& progress);
  // Ends a live line, so that what others print starts on a line of its own. Show may be called
  // again.
  absl::Status Finish();

 private:
  absl::Status Write(const std::string& text);

  const int fd_;
  const ProgressStyle style_;
  size_t shown_ = 0;  // characters of the live line on the screen
  bool first_ = true;
};

}  // namespace weft
