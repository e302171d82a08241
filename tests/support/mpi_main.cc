#include "tests/support/mpi_main.h"

#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "gtest/gtest.h"

namespace weft {
namespace {

std::unique_ptr<MpiSession> session;

class FailurePrinter final : public testing::EmptyTestEventListener {
 public:
  explicit FailurePrinter(int rank) : rank_(rank) {}

 private:
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    const testing::TestInfo* test = testing::UnitTest::GetInstance()->current_test_info();
    const std::string name =
        test == nullptr ? "" : absl::StrCat(test->test_suite_name(), ".", test->name());
    std::fputs(absl::StrCat("rank ", rank_, ": ", name, ": ",
                            result.file_name() == nullptr ? "" : result.file_name(), ":",
                            result.line_number(), ": ", result.message(), "\n")
                   .c_str(),
               stderr);
  }

  const int rank_;
};

int RunTests(int argc, char** argv) {
  absl::StatusOr<std::unique_ptr<MpiSession>> opened = MpiSession::Init(&argc, &argv);
  if (!opened.ok()) {
    std::fputs(absl::StrCat(opened.status().ToString(), "\n").c_str(), stderr);
    return 1;
  }
  session = std::move(opened).value();
  testing::InitGoogleTest(&argc, argv);
  if (session->rank() != 0) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter(session->rank()));
  }
  const int result = RUN_ALL_TESTS();
  const absl::Status finalized = session->Finalize();
  session.reset();
  if (finalized.ok()) return result;
  std::fputs(absl::StrCat(finalized.ToString(), "\n").c_str(), stderr);
  return 1;
}

}  // namespace

MpiSession& TestMpiSession() {
  WEFT_CHECK(session != nullptr, "main() has opened the session");
  return *session;
}

}  // namespace weft

int main(int argc, char** argv) { return weft::RunTests(argc, argv); }
