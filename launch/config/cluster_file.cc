#include "launch/config/cluster_file.h"

#include <fstream>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "launch/config/suggest.h"
#include "launch/config/values.h"
#include "launch/config/yaml_tree.h"

namespace weft {
namespace {

constexpr int64_t kMaxCount = 1 << 20;

struct Key {
  Unit unit = Unit::kNone;
  double min = 0;
  bool whole = false;
  double* value = nullptr;
};

class Reader {
 public:
  Reader(std::string_view text, const std::string& name) : source_(name) {
    root_ = ParseYaml(text, name, true, errors_);
    keys_ = {
        {"nodes", {Unit::kNone, 1, true, &nodes_}},
        {"ranks_per_node", {Unit::kNone, 1, true, &ranks_per_node_}},
        {"links.intra.latency", {Unit::kSeconds, 0, false, &speeds_.intra.latency}},
        {"links.intra.bandwidth", {Unit::kBytesPerSecond, 1, false, &speeds_.intra.bandwidth}},
        {"links.inter.latency", {Unit::kSeconds, 0, false, &speeds_.inter.latency}},
        {"links.inter.bandwidth", {Unit::kBytesPerSecond, 1, false, &speeds_.inter.bandwidth}},
        {"compute.flops", {Unit::kNone, 1, false, &speeds_.flops}},
        {"compute.elements", {Unit::kNone, 1, false, &speeds_.elements}},
        {"compute.launch", {Unit::kSeconds, 0, false, &speeds_.launch}},
        {"compute.matmul.alpha", {Unit::kSeconds, 0, false, &matmul_.alpha}},
        {"compute.matmul.seconds_per_mac", {Unit::kSeconds, 0, false, &matmul_.beta}},
    };
    for (const char* name_of : {"all_to_all", "all_gather", "reduce_scatter", "all_reduce"}) {
      MeasuredCollective& collective = collectives_[name_of];
      const std::string prefix = absl::StrCat("collectives.", name_of, ".");
      keys_[prefix + "alpha"] = {Unit::kSeconds, 0, false, &collective.per_element.alpha};
      keys_[prefix + "seconds_per_element"] = {Unit::kSeconds, 0, false,
                                               &collective.per_element.beta};
      keys_[prefix + "group_size"] = {Unit::kNone, 2, true, &group_sizes_[name_of]};
    }
  }

  absl::StatusOr<ClusterFile> Read() {
    if (root_.kind != YamlNode::Kind::kMap) {
      errors_.Add(Origin{source_, 1, 1}, "a cluster is a map with the key 'nodes'");
      return errors_.ToStatus();
    }
    for (const YamlEntry& entry : root_.entries) ReadEntry(entry.key, entry);
    Require("nodes", true);
    Require("ranks_per_node", true);
    for (const char* what : {"latency", "bandwidth"}) {
      Require(absl::StrCat("links.intra.", what), ranks_per_node_ > 1);
      Require(absl::StrCat("links.inter.", what), nodes_ > 1);
    }
    RequireTogether("compute.matmul", {"alpha", "seconds_per_mac"});
    for (const auto& [name, unused] : collectives_) {
      RequireTogether(absl::StrCat("collectives.", name), {"alpha", "seconds_per_element"});
    }
    WEFT_RETURN_IF_ERROR(errors_.ToStatus());
    return Assemble();
  }

 private:
  void ReadEntry(const std::string& key, const YamlEntry& entry) {
    const YamlNode& node = entry.value;
    if (key == "name") return ReadName(node);
    if (key == "grid_lengths") return ReadLengths(node);
    if (key == "stragglers") return ReadStragglers(node);
    if (const auto known = keys_.find(key); known != keys_.end()) {
      if (const std::optional<double> value = ReadNumber(key, node, known->second)) {
        *known->second.value = *value;
        given_[key] = node.origin;
      }
      return;
    }
    const auto below = keys_.lower_bound(key + ".");
    const bool is_section = below != keys_.end() && below->first.starts_with(key + ".");
    if (!is_section) {
      std::vector<std::string_view> names = {"name", "grid_lengths", "stragglers"};
      for (const auto& [name, unused] : keys_) names.emplace_back(name);
      const std::string near(NearestWord(key, names));
      errors_.Add(entry.origin,
                  absl::StrCat("unknown key '", key, "'",
                               near.empty() ? "" : absl::StrCat(" (did you mean '", near, "'?)")));
    } else if (node.kind != YamlNode::Kind::kMap) {
      errors_.Add(node.origin, absl::StrCat(key, " must be a map"));
    } else {
      for (const YamlEntry& child : node.entries) ReadEntry(key + "." + child.key, child);
    }
  }

  std::optional<double> ReadNumber(const std::string& key, const YamlNode& node, const Key& rule) {
    std::optional<double> value;
    if (node.kind == YamlNode::Kind::kScalar && !node.quoted) {
      value = ParseQuantity(node.text, rule.unit);
    }
    const bool fits =
        value.has_value() && *value >= rule.min && *value <= std::numeric_limits<double>::max() &&
        (!rule.whole ||
         (*value <= kMaxCount && *value == static_cast<double>(static_cast<int64_t>(*value))));
    if (fits) return value;
    const char* const what = rule.whole                           ? "a whole number"
                             : rule.unit == Unit::kSeconds        ? "a duration such as 20us"
                             : rule.unit == Unit::kBytesPerSecond ? "a rate such as 12GB/s"
                                                                  : "a number";
    errors_.Add(node.origin, absl::StrCat(key, " must be ", what, " of at least ", rule.min));
    return std::nullopt;
  }

  void ReadName(const YamlNode& node) {
    if (node.kind == YamlNode::Kind::kScalar && !node.text.empty()) {
      file_.cluster.name = node.text;
    } else {
      errors_.Add(node.origin, "name must be a text that is not empty");
    }
  }

  void ReadLengths(const YamlNode& node) {
    const Key rule{Unit::kNone, 1, true, nullptr};
    file_.grid_lengths.clear();
    if (node.kind != YamlNode::Kind::kSequence || node.items.empty()) {
      errors_.Add(node.origin, "grid_lengths must be a list of whole numbers");
    }
    for (const YamlNode& item : node.items) {
      if (const std::optional<double> value = ReadNumber("grid_lengths", item, rule)) {
        file_.grid_lengths.push_back(static_cast<int64_t>(*value));
      }
    }
  }

  void ReadStragglers(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::kSequence) {
      errors_.Add(node.origin, "stragglers must be a list such as [{rank: 3, compute: 1.5}]");
      return;
    }
    for (const YamlNode& item : node.items) ReadStraggler(item);
  }

  void ReadStraggler(const YamlNode& node) {
    if (node.kind != YamlNode::Kind::kMap) {
      errors_.Add(node.origin, "a straggler is a map such as {rank: 3, compute: 1.5}");
      return;
    }
    double rank = -1, node_index = -1;
    Straggler straggler;
    const std::map<std::string, Key> keys = {
        {"rank", {Unit::kNone, 0, true, &rank}},
        {"node", {Unit::kNone, 0, true, &node_index}},
        {"compute", {Unit::kNone, 1, false, &straggler.compute}},
        {"link", {Unit::kNone, 1, false, &straggler.link}},
    };
    for (const YamlEntry& entry : node.entries) {
      const auto known = keys.find(entry.key);
      if (known == keys.end()) {
        errors_.Add(entry.origin, absl::StrCat("unknown key '", entry.key,
                                               "' of a straggler: use rank, node, compute, link"));
      } else if (const std::optional<double> value = ReadNumber(
                     absl::StrCat("stragglers.", entry.key), entry.value, known->second)) {
        *known->second.value = *value;
      }
    }
    straggler.rank = static_cast<int32_t>(rank);
    straggler.node = static_cast<int32_t>(node_index);
    file_.cluster.stragglers.push_back(straggler);
  }

  void Require(const std::string& key, bool needed) {
    if (needed && !given_.contains(key)) {
      errors_.Add(Origin{source_, 1, 1}, absl::StrCat(key, " is missing"));
    }
  }

  void RequireTogether(const std::string& section, const std::vector<std::string>& names) {
    const auto first = given_.lower_bound(section + ".");
    if (first == given_.end() || !first->first.starts_with(section + ".")) return;
    for (const std::string& name : names) Require(absl::StrCat(section, ".", name), true);
  }

  absl::StatusOr<ClusterFile> Assemble() {
    Cluster& cluster = file_.cluster;
    if (cluster.name.empty()) cluster.name = source_;
    cluster.topology.ranks_per_node = static_cast<int32_t>(ranks_per_node_);
    const double world = nodes_ * ranks_per_node_;
    if (world > kMaxCount) {
      return absl::InvalidArgumentError(
          absl::StrCat(source_, ": nodes x ranks_per_node must be at most ", kMaxCount));
    }
    cluster.topology.world_size = static_cast<int32_t>(world);
    cluster.speeds = speeds_;
    if (given_.contains("compute.matmul.alpha")) cluster.matmul = matmul_;
    cluster.all_to_all = CollectiveOf("all_to_all", nodes_);
    cluster.all_reduce = CollectiveOf("all_reduce", nodes_);
    cluster.all_gather = CollectiveOf("all_gather", ranks_per_node_);
    cluster.reduce_scatter = CollectiveOf("reduce_scatter", ranks_per_node_);
    WEFT_RETURN_IF_ERROR(WithContext(ValidateCluster(cluster), source_));
    return file_;
  }

  std::optional<MeasuredCollective> CollectiveOf(const std::string& name, double group_size) {
    const std::string prefix = absl::StrCat("collectives.", name, ".");
    if (!given_.contains(prefix + "alpha")) return std::nullopt;
    MeasuredCollective collective = collectives_.at(name);
    const bool stated = given_.contains(prefix + "group_size");
    collective.group_size = static_cast<int32_t>(stated ? group_sizes_.at(name) : group_size);
    return collective;
  }

  const std::string source_;
  ErrorList errors_;
  YamlNode root_;
  ClusterFile file_;
  MachineSpeeds speeds_;
  Line matmul_;
  double nodes_ = 1;
  double ranks_per_node_ = 1;
  std::map<std::string, MeasuredCollective> collectives_;
  std::map<std::string, double> group_sizes_;
  std::map<std::string, Key> keys_;
  std::map<std::string, Origin> given_;
};

}  // namespace

absl::StatusOr<ClusterFile> LoadClusterText(std::string_view text, const std::string& name) {
  return Reader(text, name).Read();
}

absl::StatusOr<ClusterFile> LoadClusterFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::InvalidArgumentError(absl::StrCat(path, ": cannot open the cluster"));
  std::stringstream text;
  text << file.rdbuf();
  return LoadClusterText(text.str(), path);
}

}  // namespace weft
