#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "comm/backend.h"
#include "gtest/gtest.h"

// What every Communicator and Backend must do, written once and run for each implementation: a test
// file instantiates CommunicatorContract with worlds of its own. In a world of threads fn runs once
// a rank; under mpirun every process runs the same tests in the same order and fn runs once, as
// this process's rank.

namespace weft {

using RankFn = std::function<absl::Status(Backend& backend)>;

struct ContractWorld {
  std::string name;  // of the instantiated test: letters, digits, '_'
  // COLLECTIVE over the world. Runs fn on every rank it is responsible for, with a fresh backend.
  std::function<absl::Status(const RankFn& fn)> run;
  CommunicatorTraits traits = {};  // of its communicators
};

class CommunicatorContract : public testing::TestWithParam<ContractWorld> {
 protected:
  void RunRanks(const RankFn& fn) {
    const absl::Status status = GetParam().run(fn);
    EXPECT_TRUE(status.ok()) << status;
  }
};

// 0..world_size-1.
std::vector<RankId> AllRanks(const Backend& backend);
// A communicator over the whole world with a deadline that no healthy run reaches.
absl::StatusOr<std::unique_ptr<Communicator>> ConnectWorld(Backend& backend,
                                                           const std::string& name = "world");

}  // namespace weft
