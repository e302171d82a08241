#include "profiler/sinks/progress_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/units.h"
#include "profiler/sinks/write_fully.h"

namespace weft {
namespace {

std::string_view Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

std::string FormatProgress(const Progress& p) {
  std::string text = absl::StrFormat("step %d/%d  loss %.4f", p.step, p.total_steps, p.loss);
  if (p.val_bits_per_byte > 0) {
    absl::StrAppendFormat(&text, "  val %.3f bits/byte", p.val_bits_per_byte);
  }
  absl::StrAppend(&text, "  ", FormatCount(p.tokens_per_second), " tokens/s  plan ", p.plan_epoch,
                  "  step ", FormatSeconds(p.measured_step_seconds));
  if (p.predicted_step_seconds > 0) {
    absl::StrAppend(&text, " (predicted ", FormatSeconds(p.predicted_step_seconds), ")");
  }
  absl::StrAppend(&text, "  comm ", FormatSeconds(p.hidden_communication_seconds), " hidden, ",
                  FormatSeconds(p.exposed_communication_seconds), " exposed");
  return text;
}

ProgressStyle DetectProgressStyle(int fd) {
  ProgressStyle style;
  const std::string_view term = Environment("TERM");
  style.live = ::isatty(fd) == 1 && !term.empty() && term != "dumb";
  style.color = style.live && Environment("NO_COLOR").empty();
  winsize size{};
  if (style.live && ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    style.columns = size.ws_col;
  }
  return style;
}

ProgressLine::ProgressLine(int fd, const ProgressStyle& style) : fd_(fd), style_(style) {}

ProgressLine::~ProgressLine() { (void)Finish(); }

absl::Status ProgressLine::Write(const std::string& text) {
  return WriteFully(fd_, text, "show progress");
}

absl::Status ProgressLine::Show(const Progress& progress) {
  const bool first = first_;
  first_ = false;
  std::string line = FormatProgress(progress);
  if (!style_.live) {
    const bool due = first || progress.step == progress.total_steps || style_.plain_every <= 1 ||
                     progress.step % style_.plain_every == 0;
    return due ? Write(absl::StrCat(line, "\n")) : absl::OkStatus();
  }
  // The last column stays free: some terminals wrap when it is written.
  line.resize(std::min(line.size(), std::max<size_t>(style_.columns, 2) - 1));
  const size_t length = line.size();
  const std::string blank(shown_ > length ? shown_ - length : 0, ' ');
  shown_ = length;
  if (style_.color) {
    const size_t context = std::min(line.find("  plan "), line.size());
    line = absl::StrCat(line.substr(0, context), "\x1b[2m", line.substr(context), "\x1b[0m");
  }
  return Write(absl::StrCat("\r", line, blank));
}

absl::Status ProgressLine::Finish() {
  if (shown_ == 0) return absl::OkStatus();
  shown_ = 0;
  return Write("\n");
}

}  // namespace weft
