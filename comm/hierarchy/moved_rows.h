#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/all_to_all_algorithm.h"
#include "comm/hierarchy/group_shape.h"

// What all members of a group move in the steps of an all-to-all, for who looks at the whole group
// at once (a simulation): what ExchangePlan::Traffic says of one member, without a plan for each.

namespace weft {

// By one member in one step, own rows left out.
struct MovedRows {
  int64_t sent = 0;
  int64_t received = 0;
  bool joins = true;  // false: it has no part in the step

  friend bool operator==(const MovedRows&, const MovedRows&) = default;
};

class GroupRows {
 public:
  // rows: [source][destination]. O(P^2). shape.me is not read. REQUIRES: a valid shape.
  void Build(const GroupShape& shape, std::span<const int64_t> rows);

  // Of every member. moved: [member]. REQUIRES: a step of OutlineOf(algorithm, shape).
  void Count(AllToAllAlgorithm algorithm, size_t step, std::span<MovedRows> moved) const;

 private:
  void BuildFlat(std::span<const int64_t> rows);
  MovedRows Direct(int member) const;
  MovedRows Pipe(size_t step, int member) const;
  MovedRows TwoLevel(size_t step, int member) const;
  MovedRows Leader(size_t step, int member) const;
  MovedRows Follower(size_t step, int member) const;

  // Between members of one node, by local indices, and what a member has for a local index of any
  // node: [source][local].
  int64_t Here(int source, int local) const { return here_[At(source, local)]; }
  int64_t Through(int source, int local) const { return through_[At(source, local)]; }
  size_t At(int source, int local) const {
    return static_cast<size_t>(source) * static_cast<size_t>(shape_.members_per_node) +
           static_cast<size_t>(local);
  }
  // What a member sends to other nodes, and receives from them.
  int64_t Leaving(int member) const { return leaving_[static_cast<size_t>(member)]; }
  int64_t Arriving(int member) const { return arriving_[static_cast<size_t>(member)]; }
  // What a node has for a member.
  int64_t FromNode(int node, int member) const {
    return from_node_[static_cast<size_t>(node) * static_cast<size_t>(shape_.size()) +
                      static_cast<size_t>(member)];
  }

  GroupShape shape_;
  std::vector<int64_t> here_, through_;  // [source][local]
  std::vector<int64_t> from_node_;       // [node][member]
  std::vector<int64_t> leaving_, arriving_;
};

}  // namespace weft
