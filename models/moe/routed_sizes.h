#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <tuple>
#include <vector>

#include "comm/hierarchy/moved_rows.h"
#include "graph/plan.h"
#include "graph/topology.h"
#include "models/layer_cut.h"
#include "models/model_spec.h"
#include "models/moe/routed_rows.h"

namespace weft {

// What every rank's tasks of one step really carry under routed rows: the sizes that the running
// program records (models/moe/exchange.h, expert_shard.h), of all ranks at once and with nothing
// run. Asked task by task in about the order of the plan; what no later task asks for is forgotten,
// so that memory follows the tasks under way and not the length of the step.
class RoutedSizes {
 public:
  struct Args {
    const StepGraph& graph;
    const Plan& plan;
    const ModelSpec& spec;
    const Topology& topology;
    const Layout& layout;
    const BatchShape& batch;
    const RoutedRows& rows;
  };
  // All of it outlives this. REQUIRES: ValidatePlan; the graph is BuildStepGraph of the rest.
  explicit RoutedSizes(const Args& args);

  // A size in place of the expected one: this rank has no part in the task.
  static constexpr double kNoPart = -1;

  // Fills in the task's size by rank, the first time that it is asked for; false when rows do not
  // change it: its size is the expected one on all ranks. REQUIRES: every task once.
  bool Sizes(int32_t task, std::span<double> sizes);

 private:
  // One chunk of one direction of a layer, in one micro-batch.
  using ChunkKey = std::tuple<int32_t, int32_t, Direction, int32_t>;
  struct Chunk {
    int32_t tasks_left = 0;
    bool known = false;
    std::vector<int64_t> received, arrived;  // [rank]: rows before and after the ESP all-gather
    std::vector<std::vector<double>> dispatch, combine;  // [step][rank]: sizes
  };
  struct LayerKey {
    int32_t layer = -1, micro_batch = -1;
    RowRange tokens;
    friend bool operator==(const LayerKey&, const LayerKey&) = default;
  };
  struct EpGroup {
    std::vector<int32_t> members;
    GroupShape shape;
  };

  // Where the experts of a layer work.
  struct Placed {
    ExpertPlacement placement;
    std::vector<int32_t> only;  // [expert]: the one member that works for it; -1: several do
    int32_t gathered = 1;       // shards of an expert that a rank brings together
  };
  static Placed MakePlaced(ExpertPlacement placement, int32_t gathered);
  const Placed& PlacedOf(int32_t layer) const;
  // The rows that a source of a group has for an expert that works on several members, dealt out as
  // the router does: calls add(member, rows) for each of them.
  template <typename Add>
  static void DealOut(const Placed& placed, const EpGroup& group, size_t source, size_t expert,
                      int64_t rows, Add add);

  void Work(const ChunkKey& key, Chunk& chunk);
  void LoadMatrix(const LayerKey& key);
  // Fills pairs_ with chunk `chunk` of `degree` of every block of the matrix.
  void CountPairs(const EpGroup& group, const Placed& placed, int32_t chunk, int32_t degree);
  void ExchangeSizes(const EpGroup& group, AllToAllAlgorithm algorithm,
                     std::span<const int64_t> pairs, std::vector<std::vector<double>>& sizes);
  // Rows that every rank's experts get of a whole micro-batch.
  std::vector<int64_t> TotalRows(int32_t layer, int32_t micro_batch);
  // What the ranks that gather rows from one another have together, by rank.
  void Gathered(const std::vector<int64_t>& received, int32_t gathered,
                std::vector<int64_t>& arrived) const;
  double ExpertSize(int32_t rank, int32_t gathered, int64_t rows) const;

  Args args_;
  size_t ranks_, experts_;
  std::vector<LayerCut> cuts_;  // [layer]
  Placed home_;
  std::map<int32_t, Placed> placed_;  // by layer, where the plan names one
  std::vector<EpGroup> ep_groups_;
  std::map<ChunkKey, Chunk> chunks_;  // that tasks of the plan will ask for
  // Of the chunk that is worked on.
  LayerKey matrix_of_;
  std::vector<int32_t> matrix_;    // [rank][expert]
  std::vector<int64_t> pairs_;     // of one EP group: [source][destination]
  std::vector<int64_t> received_;  // by its members
  std::vector<int64_t> turned_;    // pairs_ as [destination][source]
  std::vector<MovedRows> moved_;
  GroupRows group_rows_;
};

}  // namespace weft
