#include "tests/models/fixture.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace weft {
namespace {

SafetensorsFile LoadFixture(const std::string& name) {
  auto file = SafetensorsFile::Load(absl::StrCat("tests/oracle/fixtures/", name, ".safetensors"));
  WEFT_CHECK(file.ok(), file.status().ToString());
  return *std::move(file);
}

}  // namespace

Fixture::Fixture(const std::string& name) : file_(LoadFixture(name)) {}

WorkerOptions Fixture::options() const {
  WorkerOptions options;
  ModelSpec& model = options.model;
  model.backbone = Text("backbone") == "gpt2" ? Backbone::kGpt2 : Backbone::kMixtral;
  model.vocab_size = Integer("vocab_size");
  model.num_layers = Integer("num_layers");
  model.hidden_size = Integer("hidden_size");
  model.num_heads = Integer("num_heads");
  model.num_kv_heads = Integer("num_kv_heads");
  model.ffn_hidden_size = Integer("ffn_hidden_size");
  model.max_sequence_length = Integer("max_sequence_length");
  model.norm_epsilon = Real("norm_epsilon");
  model.rope_theta = Real("rope_theta");
  model.moe.num_experts = Integer("num_experts");
  model.moe.top_k = Integer("top_k");
  model.moe.every = Integer("every");
  model.moe.shared_experts = Integer("shared_experts");
  model.moe.renormalize = Integer("renormalize") != 0;
  model.moe.balance_loss = Real("balance_loss");
  model.moe.capacity_factor = Real("capacity_factor");
  model.moe.capacity_mode =
      model.moe.capacity_factor > 0 ? CapacityMode::kFactor : CapacityMode::kDropless;
  options.batch.sequences = Integer("sequences");
  options.batch.length = Integer("length");
  options.batch.micro_batches = Integer("micro_batches");
  options.batch.global_sequences = options.batch.sequences * options.batch.micro_batches;
  OptimizerOptions& optimizer = options.optimizer;
  optimizer.learning_rate = Real("learning_rate");
  optimizer.min_learning_rate = Real("min_learning_rate");
  optimizer.warmup_steps = Integer("warmup_steps");
  optimizer.beta1 = Real("beta1");
  optimizer.beta2 = Real("beta2");
  optimizer.epsilon = Real("epsilon");
  optimizer.weight_decay = Real("weight_decay");
  optimizer.gradient_clip = Real("gradient_clip");
  return options;
}

template <typename T>
std::span<const T> Fixture::Values(const std::string& name) const {
  const SafetensorsEntry* entry = file_.Find(name);
  WEFT_CHECK(entry != nullptr && entry->dtype == SafetensorsDType(DTypeOf<T>::value), name);
  const std::string_view bytes = file_.Data(*entry);
  // Aligned: the header is padded to 8 bytes and the widest types come first.
  return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
}

std::span<const float> Fixture::Floats(const std::string& name) const {
  return Values<float>(name);
}
std::span<const double> Fixture::Doubles(const std::string& name) const {
  return Values<double>(name);
}
std::span<const int32_t> Fixture::Integers(const std::string& name) const {
  return Values<int32_t>(name);
}

std::vector<std::string> Fixture::NamesUnder(const std::string& prefix) const {
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : file_.header().tensors) {
    if (absl::StartsWith(entry.name, prefix)) names.push_back(entry.name.substr(prefix.size()));
  }
  return names;
}

const std::string& Fixture::Text(const std::string& key) const {
  const auto& metadata = file_.header().metadata;
  WEFT_CHECK(metadata.contains(key), key);
  return metadata.at(key);
}

int32_t Fixture::Integer(const std::string& key) const {
  int32_t value = 0;
  WEFT_CHECK(absl::SimpleAtoi(Text(key), &value), key);
  return value;
}

double Fixture::Real(const std::string& key) const {
  double value = 0;
  WEFT_CHECK(absl::SimpleAtod(Text(key), &value), key);
  return value;
}

}  // namespace weft
