#include "tests/comm/hierarchy/exchange_contract.h"
#include "tests/support/mpi_main.h"

namespace weft {
namespace {

INSTANTIATE_TEST_SUITE_P(Mpi, ExchangeContract,
                         testing::Values(ContractWorld{
                             "mpi",
                             [](const RankFn& fn) { return fn(*TestMpiSession().MakeBackend()); }}),
                         [](const auto& world) { return world.param.name; });

}  // namespace
}  // namespace weft
