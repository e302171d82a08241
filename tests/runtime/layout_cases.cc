#include "tests/runtime/layout_cases.h"

namespace weft {

TinyJob LayoutCase::job() const {
  TinyJob job;
  job.model = TinyModel(Backbone::kMixtral);
  job.model.moe.routing = routing;
  job.model.moe.shared_experts = shared_experts;
  job.topology = topology;
  job.layout = layout;
  job.placements = placements;
  job.micro_batches = micro_batches;
  job.cut_blocks = cut_blocks;
  job.all_to_all = all_to_all;
  return job;
}

std::vector<LayoutCase> LayoutCases() {
  const ExpertPlacement home(6, 1);
  return {
      {"OneRank", {1, 1}, {}, {}, 2},
      {"ForcedRouting", {1, 1}, {}, {}, 1, true, AllToAllAlgorithm::kDirect, Routing::kForced},
      {"EpEsp", {4, 2}, {1, 2, 2}, {}, 2, true},
      {"TwoDh", {4, 2}, {1, 4, 1}, {}, 1, false, AllToAllAlgorithm::k2DH},
      {"OneDh", {4, 2}, {1, 4, 1}, {}, 1, true, AllToAllAlgorithm::k1DH},
      {"Copies", {2, 2}, {1, 2, 1}, {{{0, {{0, 1, 2, 5}, {0, 3, 4, 5}}}}, {}}, 2},
      {"Gathered", {2, 2}, {1, 1, 2}, {{{0, home.by_member(), 2}, {1, home.by_member(), 2}}, {}}},
      {"SharedHeads", {2, 2}, {1, 2, 1, 2}},
      {"ShardedUpdate", {4, 2}, {2, 2, 1, 1, 1}},
      {.name = "SharedExperts",
       .topology = {2, 2},
       .layout = {1, 2, 1},
       .cut_blocks = true,
       .shared_experts = 2},
  };
}

}  // namespace weft
