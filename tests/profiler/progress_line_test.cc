#include "profiler/sinks/progress_line.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace weft {
namespace {

Progress At(int64_t step) {
  Progress p;
  p.step = step;
  p.total_steps = 30;
  p.loss = 2.31421;
  p.val_bits_per_byte = 2.981;
  p.tokens_per_second = 41230;
  p.plan_epoch = 3;
  p.predicted_step_seconds = 0.0179;
  p.measured_step_seconds = 0.0182;
  p.hidden_communication_seconds = 0.0041;
  p.exposed_communication_seconds = 0.0012;
  return p;
}

// What is written to the write end can be read back; the pipe holds far more than a test writes.
class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(ends_, O_NONBLOCK), 0); }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  int fd() const { return ends_[1]; }
  std::string Read() {
    char buffer[4096];
    const ssize_t n = ::read(ends_[0], buffer, sizeof(buffer));
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : "";
  }

 private:
  int ends_[2] = {-1, -1};
};

TEST(FormatProgress, NamesEverything) {
  EXPECT_EQ(FormatProgress(At(12)),
            "step 12/30  loss 2.3142  val 2.981 bits/byte  41.2 k tokens/s  plan 3  step 18.20 ms "
            "(predicted 17.90 ms)  comm 4.10 ms hidden, 1.20 ms exposed");
}

TEST(FormatProgress, LeavesOutWhatIsNotKnown) {
  Progress p = At(1);
  p.val_bits_per_byte = 0;
  p.predicted_step_seconds = 0;
  const std::string text = FormatProgress(p);
  EXPECT_EQ(text.find("val"), std::string::npos) << text;
  EXPECT_EQ(text.find("predicted"), std::string::npos) << text;
}

TEST(ProgressLine, PlainLinesForTheFirstEveryNthAndLastStep) {
  Pipe pipe;
  ProgressStyle style;
  style.plain_every = 10;
  ProgressLine line(pipe.fd(), style);
  for (int64_t step = 1; step <= 30; ++step) {
    const bool due = step == 1 || step % 10 == 0;
    ASSERT_TRUE(line.Show(At(step)).ok());
    EXPECT_EQ(pipe.Read(), due ? absl::StrCat(FormatProgress(At(step)), "\n") : "") << step;
  }
  ASSERT_TRUE(line.Finish().ok());
  EXPECT_EQ(pipe.Read(), "");
}

TEST(ProgressLine, LiveLineIsRewrittenCutAndBlanked) {
  Pipe pipe;
  ProgressStyle style;
  style.live = true;
  style.columns = 41;
  ProgressLine line(pipe.fd(), style);
  ASSERT_TRUE(line.Show(At(12)).ok());
  EXPECT_EQ(pipe.Read(), absl::StrCat("\r", FormatProgress(At(12)).substr(0, 40)));
  ASSERT_TRUE(line.Show(At(13)).ok());
  EXPECT_EQ(pipe.Read(), absl::StrCat("\r", FormatProgress(At(13)).substr(0, 40)));
  ASSERT_TRUE(line.Finish().ok());
  EXPECT_EQ(pipe.Read(), "\n");
  ASSERT_TRUE(line.Finish().ok());
  EXPECT_EQ(pipe.Read(), "");
}

TEST(ProgressLine, AShorterLiveLineWipesTheLongerOne) {
  Pipe pipe;
  ProgressStyle style;
  style.live = true;
  style.columns = 400;
  ProgressLine line(pipe.fd(), style);
  ASSERT_TRUE(line.Show(At(12)).ok());
  const size_t before = pipe.Read().size();
  Progress shorter = At(13);
  shorter.val_bits_per_byte = 0;
  ASSERT_TRUE(line.Show(shorter).ok());
  const std::string after = pipe.Read();
  EXPECT_EQ(after.size(), before);
  EXPECT_EQ(after.back(), ' ');
  EXPECT_EQ(after.find('\x1b'), std::string::npos) << "no escapes without colour";
}

TEST(ProgressLine, ColourIsResetAtTheEnd) {
  Pipe pipe;
  ProgressStyle style;
  style.live = true;
  style.color = true;
  style.columns = 400;
  ProgressLine line(pipe.fd(), style);
  ASSERT_TRUE(line.Show(At(12)).ok());
  const std::string text = pipe.Read();
  EXPECT_NE(text.find("\x1b[2m  plan 3"), std::string::npos);
  EXPECT_EQ(text.substr(text.size() - 4), "\x1b[0m");
}

TEST(ProgressLine, AClosedDescriptorIsAnError) {
  ProgressLine line(-1, ProgressStyle{});
  EXPECT_EQ(line.Show(At(1)).code(), absl::StatusCode::kDataLoss);
}

TEST(DetectProgressStyle, APipeIsNotLive) {
  Pipe pipe;
  const ProgressStyle style = DetectProgressStyle(pipe.fd());
  EXPECT_FALSE(style.live);
  EXPECT_FALSE(style.color);
}

TEST(DetectProgressStyle, ATerminalIsLiveAndRespectsNoColorAndDumb) {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0) GTEST_SKIP() << "no pseudo-terminals here";
  ASSERT_EQ(::grantpt(master), 0);
  ASSERT_EQ(::unlockpt(master), 0);
  const int terminal = ::open(::ptsname(master), O_RDWR | O_NOCTTY);
  ASSERT_GE(terminal, 0);
  winsize size{};
  size.ws_col = 123;
  ASSERT_EQ(::ioctl(terminal, TIOCSWINSZ, &size), 0);

  ::setenv("TERM", "xterm", 1);
  ::unsetenv("NO_COLOR");
  ProgressStyle style = DetectProgressStyle(terminal);
  EXPECT_TRUE(style.live);
  EXPECT_TRUE(style.color);
  EXPECT_EQ(style.columns, 123u);
  ::setenv("NO_COLOR", "1", 1);
  style = DetectProgressStyle(terminal);
  EXPECT_TRUE(style.live);
  EXPECT_FALSE(style.color);
  ::setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(DetectProgressStyle(terminal).color);
  ::setenv("TERM", "dumb", 1);
  EXPECT_FALSE(DetectProgressStyle(terminal).live);
  ::close(terminal);
  ::close(master);
}

}  // namespace
}  // namespace weft
