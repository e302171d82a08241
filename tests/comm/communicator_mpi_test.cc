#include "tests/comm/communicator_contract.h"
#include "tests/comm/quick_links.h"
#include "tests/support/mpi_main.h"

namespace weft {
namespace {

ContractWorld Mpi() {
  return {"mpi", [](const RankFn& fn) { return fn(*TestMpiSession().MakeBackend()); }};
}

// As if an int could count no more than this.
ContractWorld MpiInPieces() {
  return {"mpi_in_pieces", [](const RankFn& fn) {
            return fn(*TestMpiSession().MakeBackend(/*max_message_bytes=*/1000));
          }};
}

ContractWorld SimOverMpi() {
  return {"sim_over_mpi",
          [](const RankFn& fn) { return fn(*BehindQuickLinks(TestMpiSession().MakeBackend())); }};
}

INSTANTIATE_TEST_SUITE_P(Mpi, CommunicatorContract,
                         testing::Values(Mpi(), MpiInPieces(), SimOverMpi()),
                         [](const auto& world) { return world.param.name; });

TEST(MpiSessionTest, AllRanksOfOneHostShareANode) {
  const MpiSession& session = TestMpiSession();
  EXPECT_FALSE(session.host_name().empty());
  EXPECT_EQ(session.nodes(), std::vector<int>(static_cast<size_t>(session.world_size()), 0));
}

}  // namespace
}  // namespace weft
