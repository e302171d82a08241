#include "comm/hierarchy/moved_rows.h"

#include <gtest/gtest.h>

#include "comm/hierarchy/exchange_plan.h"
#include "tests/comm/hierarchy/row_matrices.h"

namespace weft {
namespace {

// The plan of every single member is the reference.
TEST(GroupRowsTest, SaysOfAllMembersWhatThePlanOfEachSays) {
  ExchangePlan plan;
  GroupRows rows_of_all;  // reused
  for (const auto& [nodes, per_node] : std::initializer_list<std::pair<int, int>>{
           {1, 1}, {1, 4}, {2, 2}, {4, 1}, {2, 3}, {3, 2}, {3, 3}, {4, 4}}) {
    GroupShape shape = {nodes, per_node, 0};
    for (const RowMatrix& matrix : RowMatrices(shape.size())) {
      rows_of_all.Build(shape, matrix.rows);
      for (const AllToAllAlgorithm algorithm : kAllToAllAlgorithms) {
        const size_t steps = OutlineOf(algorithm, shape).size();
        std::vector<std::vector<MovedRows>> moved(
            steps, std::vector<MovedRows>(static_cast<size_t>(shape.size())));
        for (size_t step = 0; step < steps; ++step) {
          rows_of_all.Count(algorithm, step, moved[step]);
        }
        for (shape.me = 0; shape.me < shape.size(); ++shape.me) {
          plan.Build(algorithm, shape,
                     [&](int source, int destination) { return matrix.at(source, destination); });
          for (size_t step = 0; step < steps; ++step) {
            const ExchangeTraffic traffic = plan.Traffic(step, 1);
            const MovedRows expected = {static_cast<int64_t>(traffic.sent_bytes()),
                                        static_cast<int64_t>(traffic.received_bytes),
                                        plan.steps()[step].joins};
            EXPECT_EQ(moved[step][static_cast<size_t>(shape.me)], expected)
                << std::string(Name(algorithm)) << " " << nodes << "x" << per_node << ", "
                << matrix.name << ", member " << shape.me << ", step " << step;
          }
        }
        shape.me = 0;
      }
    }
  }
}

}  // namespace
}  // namespace weft
