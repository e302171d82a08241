#include "models/parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/update_shard.h"

namespace weft {
namespace {

constexpr uint64_t kSeed = 99;

ModelSpec SmallSpec(Backbone backbone) {
  ModelSpec spec;
  spec.backbone = backbone;
  spec.vocab_size = 11;
  spec.num_layers = 3;
  spec.hidden_size = 8;
  spec.num_heads = 2;
  spec.num_kv_heads = backbone == Backbone::kGpt2 ? 2 : 1;
  spec.ffn_hidden_size = 10;  // uneven over three and four shards
  spec.max_sequence_length = 6;
  spec.moe.num_experts = 5;  // uneven over two, three and four
  spec.moe.every = 2;
  return spec;
}

struct Tensor {
  Shape shape;
  std::vector<float> values;
  std::vector<int> copies;  // how many ranks hold each element
};
using Tensors = std::map<std::string, Tensor>;

Tensors Canonical(const ModelSpec& spec, uint64_t seed) {
  Tensors tensors;
  Parameters whole(spec, Layout{}, RankId{0}, seed);
  for (Bucket* bucket : whole.all()) {
    for (const Parameter& p : bucket->parameters) {
      const float* data = bucket->Value(p).as<float>();
      const auto count = static_cast<size_t>(p.shape.elements());
      EXPECT_TRUE(
          tensors.emplace(p.name, Tensor{p.shape, {data, data + count}, std::vector<int>(count)})
              .second)
          << p.name;
    }
  }
  return tensors;
}

// Where element (row, column) of a shard stands in the canonical tensor, by the rule at the top of
// models/parameters.h.
int64_t CanonicalIndex(const ModelSpec& spec, const std::string& name, const ExpertRange& hidden,
                       int64_t row, int64_t column) {
  if (absl::EndsWith(name, ".in.weight")) {
    const int64_t half = row / hidden.count;  // gate rows, then up rows
    return (half * spec.ffn_hidden_size + hidden.first + row % hidden.count) * spec.hidden_size +
           column;
  }
  if (absl::EndsWith(name, ".out.weight"))
    return row * spec.ffn_hidden_size + hidden.first + column;
  if (absl::EndsWith(name, ".in.bias")) return hidden.first + row;
  return row;  // out.bias
}

// The projections' rows (query heads, key heads, value heads, one after another) and columns that
// are of a rank's heads, by the rule at the top of models/parameters.h.
int64_t CanonicalIndexOfHeads(const ModelSpec& spec, const Layout& layout, RankId rank,
                              const std::string& name, int64_t row, int64_t column) {
  const int64_t member = rank.value % layout.mp;
  const int64_t q = spec.hidden_size / layout.mp;
  const int64_t keys = static_cast<int64_t>(spec.num_kv_heads) * spec.head_dim();
  const int64_t k = keys / layout.mp;
  if (absl::EndsWith(name, ".out.weight")) return row * spec.hidden_size + member * q + column;
  int64_t canonical = member * q + row;
  if (row >= q) canonical = spec.hidden_size + member * k + (row - q);
  if (row >= q + k) canonical = spec.hidden_size + keys + member * k + (row - q - k);
  return absl::EndsWith(name, ".bias") ? canonical : canonical * spec.hidden_size + column;
}

// Holds what one rank has against the canonical tensors and counts it.
void Assemble(const ModelSpec& spec, const Layout& layout, RankId rank, Tensors& canonical) {
  Parameters held(spec, layout, rank, kSeed);
  const ExpertRange hidden =
      HiddenShardOf(spec.ffn_hidden_size, layout.esp, layout.esp_index(rank));
  for (Bucket* bucket : held.all()) {
    for (const Parameter& p : bucket->parameters) {
      Tensor& whole = canonical.at(p.name);
      const float* data = bucket->Value(p).as<float>();
      const int64_t columns = p.shape.rank() == 2 ? p.shape[1] : 1;
      for (int64_t i = 0; i < p.shape.elements(); ++i) {
        const int64_t index =
            bucket->expert ? CanonicalIndex(spec, p.name, hidden, i / columns, i % columns)
            : bucket->heads
                ? CanonicalIndexOfHeads(spec, layout, rank, p.name, i / columns, i % columns)
                : i;
        ASSERT_LT(index, whole.shape.elements()) << p.name;
        ASSERT_EQ(data[i], whole.values[static_cast<size_t>(index)]) << p.name << " at " << index;
        ++whole.copies[static_cast<size_t>(index)];
      }
    }
  }
}

class ParametersTest : public testing::TestWithParam<Backbone> {};

TEST_P(ParametersTest, ShardsOfEveryLayoutAssembleToTheCanonicalTensors) {
  const ModelSpec spec = SmallSpec(GetParam());
  for (const Layout& layout :
       {Layout{1, 1, 1}, Layout{2, 1, 1}, Layout{1, 2, 1}, Layout{1, 1, 2}, Layout{1, 3, 1},
        Layout{1, 4, 1}, Layout{1, 1, 3}, Layout{1, 1, 4}, Layout{1, 5, 1}, Layout{2, 2, 1},
        Layout{2, 1, 2}, Layout{1, 2, 2}, Layout{2, 2, 2}, Layout{1, 3, 2}, Layout{3, 1, 2}}) {
    SCOPED_TRACE(absl::StrCat(layout.edp, "x", layout.ep, "x", layout.esp));
    Tensors canonical = Canonical(spec, kSeed);
    for (int32_t r = 0; r < layout.world_size(); ++r) {
      ASSERT_NO_FATAL_FAILURE(Assemble(spec, layout, RankId{r}, canonical));
    }
    for (const auto& [name, tensor] : canonical) {
      const bool expert = absl::StrContains(name, ".experts.");
      for (const int copies : tensor.copies) {
        ASSERT_EQ(copies, expert ? layout.edp : layout.world_size()) << name;
      }
    }
  }
}

// Whatever the heads are, experts are spread as without MP; every canonical element is somewhere,
// heads on one in mp ranks.
TEST_P(ParametersTest, SharesOfHeadsAssembleToTheCanonicalTensors) {
  ModelSpec spec = SmallSpec(GetParam());
  spec.hidden_size = 24;
  spec.num_heads = 12;
  spec.num_kv_heads = GetParam() == Backbone::kGpt2 ? 12 : 6;
  for (const Layout& layout : {Layout{1, 2, 1, 2}, Layout{1, 3, 1, 3}, Layout{2, 1, 2, 2},
                               Layout{1, 2, 3, 3}, Layout{1, 1, 6, 6}}) {
    SCOPED_TRACE(absl::StrCat(layout.edp, "x", layout.ep, "x", layout.esp, ", mp ", layout.mp));
    ASSERT_TRUE(ValidateHeads(spec, layout).ok());
    Tensors canonical = Canonical(spec, kSeed);
    for (int32_t r = 0; r < layout.world_size(); ++r)
      ASSERT_NO_FATAL_FAILURE(Assemble(spec, layout, RankId{r}, canonical));
    for (const auto& [name, tensor] : canonical) {
      int expected = absl::StrContains(name, ".experts.") ? layout.edp : layout.world_size();
      if (absl::StrContains(name, ".attn.") && !absl::EndsWith(name, ".out.bias"))
        expected = layout.world_size() / layout.mp;
      for (const int copies : tensor.copies) ASSERT_EQ(copies, expected) << name;
    }
  }
}

TEST(ValidateHeadsTest, SharesOutWholeHeads) {
  ModelSpec spec = SmallSpec(Backbone::kMixtral);
  spec.num_heads = 8;
  spec.num_kv_heads = 2;
  EXPECT_TRUE(ValidateHeads(spec, {1, 2, 1, 2}).ok());
  EXPECT_EQ(ValidateHeads(spec, {1, 4, 1, 4}),
            absl::InvalidArgumentError(
                "tensor parallelism (mp 4) shares out whole heads: it must divide the 8 attention "
                "heads and the 2 key and value heads"));
  EXPECT_FALSE(ValidateHeads(spec, {1, 3, 1, 3}).ok());
}

TEST_P(ParametersTest, CatalogTellsWhatParametersHold) {
  ModelSpec spec = SmallSpec(GetParam());
  spec.num_kv_heads = 2;
  const Layout layout = {1, 2, 2, 2};
  for (int32_t r = 0; r < layout.world_size(); ++r) {
    const ParameterCatalog catalog = MakeParameterCatalog(spec, layout, RankId{r});
    Parameters held(spec, layout, RankId{r}, kSeed);
    int64_t elements = 0;
    for (const Bucket* bucket : held.all()) {
      int64_t next = 0;
      for (const Parameter& p : bucket->parameters) {
        EXPECT_EQ(p.offset, next) << p.name;
        next += p.shape.elements();
        EXPECT_EQ(p.decay, p.shape.rank() == 2) << p.name;
      }
      EXPECT_EQ(bucket->elements, next);
      elements += next;
    }
    EXPECT_EQ(catalog.elements(), elements);
    EXPECT_EQ(held.elements(), elements);
  }
}

// With ZeRO-1 every element that several ranks hold has optimizer state on exactly one of them.
TEST_P(ParametersTest, OptimizerStateIsSpreadOverThoseWhoHoldIt) {
  ModelSpec spec = SmallSpec(GetParam());
  spec.num_kv_heads = 2;
  for (const Layout& plain :
       {Layout{1, 2, 2}, Layout{2, 2, 1, 2}, Layout{2, 2, 2}, Layout{3, 1, 1}, Layout{}}) {
    Layout layout = plain;
    layout.zero_stage = 1;
    std::map<std::string, std::vector<int>> updated;  // by bucket and who shares it
    for (int32_t r = 0; r < layout.world_size(); ++r) {
      Parameters held(spec, layout, RankId{r}, kSeed);
      for (const Bucket* bucket : held.all()) {
        const UpdateShard shard = UpdateShardOf(layout, RankId{r}, *bucket);
        const auto bytes = static_cast<int64_t>(sizeof(float));
        EXPECT_GE(bucket->value.capacity_bytes(), shard.padded_elements() * bytes);
        EXPECT_GE(bucket->gradient.capacity_bytes(), shard.padded_elements() * bytes);
        EXPECT_GE(bucket->adam_m.capacity_bytes(), shard.elements.count() * bytes);
        EXPECT_LE(bucket->adam_m.capacity_bytes(), shard.size * bytes + 63);
        const std::string held_by =
            bucket->expert  ? absl::StrCat("experts ", r % (layout.ep * layout.esp))
            : bucket->heads ? absl::StrCat("heads ", layout.mp_index(RankId{r}))
                            : "all";
        std::vector<int>& times = updated[absl::StrCat(bucket->layer, " ", held_by)];
        times.resize(static_cast<size_t>(bucket->elements));
        for (int64_t i = shard.elements.begin; i < shard.elements.end; ++i)
          ++times[static_cast<size_t>(i)];
      }
    }
    for (const auto& [bucket, times] : updated) {
      EXPECT_EQ(std::count(times.begin(), times.end(), 1), std::ssize(times)) << bucket;
    }
  }
  Bucket tiny;
  tiny.elements = 5;  // three ranks of two elements, one of them short
  const Layout four = {1, 4, 1, 1, 1};
  EXPECT_EQ(UpdateShardOf(four, RankId{2}, tiny).elements.count(), 1);
  EXPECT_EQ(UpdateShardOf(four, RankId{3}, tiny).elements.count(), 0);
  EXPECT_EQ(UpdateShardOf(four, RankId{3}, tiny).padded_elements(), 8);
}

TEST_P(ParametersTest, InitialValuesFollowTheirDistributionAndSeed) {
  ModelSpec spec = SmallSpec(GetParam());
  spec.hidden_size = 32;
  spec.ffn_hidden_size = 64;
  const Tensors first = Canonical(spec, 1);
  const Tensors again = Canonical(spec, 1);
  const Tensors other = Canonical(spec, 2);
  const double output_std = spec.init_std / std::sqrt(2.0 * spec.num_layers);
  for (const auto& [name, tensor] : first) {
    EXPECT_EQ(tensor.values, again.at(name).values) << name;
    if (tensor.shape.rank() == 1) {
      const float constant = absl::EndsWith(name, "norm.weight") ? 1.0f : 0.0f;
      for (const float v : tensor.values) ASSERT_EQ(v, constant) << name;
      continue;
    }
    EXPECT_NE(tensor.values, other.at(name).values) << name;
    double squares = 0;
    for (const float v : tensor.values) squares += double{v} * v;
    const auto count = static_cast<double>(tensor.values.size());
    const double expected = absl::EndsWith(name, "out.weight") ? output_std : spec.init_std;
    // The sample's standard deviation is off by std / sqrt(2 n); four of those.
    EXPECT_NEAR(std::sqrt(squares / count), expected, 4 * expected / std::sqrt(2 * count)) << name;
  }
  EXPECT_NE(first.at("layers.1.experts.0.in.weight").values,
            first.at("layers.1.experts.1.in.weight").values);
}

TEST_P(ParametersTest, CountsOfTheWholeModelAndOfOneToken) {
  const ModelSpec spec = SmallSpec(GetParam());
  int64_t all = 0;
  int64_t active = 0;
  for (const auto& [name, tensor] : Canonical(spec, kSeed)) {
    all += tensor.shape.elements();
    // top_k of the experts, which are equally large.
    const bool unused = absl::StrContains(name, ".experts.") &&
                        !absl::StrContains(name, ".experts.0.") &&
                        !absl::StrContains(name, ".experts.1.");
    active += unused ? 0 : tensor.shape.elements();
  }
  EXPECT_EQ(CountParameters(spec), all);
  EXPECT_EQ(CountActiveParameters(spec), active);
}

INSTANTIATE_TEST_SUITE_P(Backbones, ParametersTest,
                         testing::Values(Backbone::kGpt2, Backbone::kMixtral),
                         [](const auto& test) {
                           return test.param == Backbone::kGpt2 ? "Gpt2" : "Mixtral";
                         });

TEST(ExpertsOfTest, AgreesWithTheRuleOfTheLayout) {
  for (int32_t experts = 1; experts < 20; ++experts) {
    for (int32_t ep = 1; ep <= experts; ++ep) {
      int32_t next = 0;
      for (int32_t i = 0; i < ep; ++i) {
        const ExpertRange range = ExpertsOf(experts, ep, i);
        EXPECT_EQ(range.first, next);
        EXPECT_GE(range.count, 1);
        for (int32_t e = range.first; e < range.first + range.count; ++e)
          EXPECT_EQ(e * ep / experts, i);
        next += range.count;
      }
      EXPECT_EQ(next, experts);
    }
  }
}

}  // namespace
}  // namespace weft
