#include "bench/synthetic_job.h"

#include "absl/strings/str_cat.h"
#include "base/random.h"

namespace weft {

ModelSpec ModelOf(const Settings& settings) {
  ModelSpec model;
  model.num_layers = settings.at("layers");
  model.hidden_size = settings.at("hidden");
  model.ffn_hidden_size = settings.at("ffn");
  model.num_heads = settings.at("heads");
  model.num_kv_heads = settings.at("kv_heads");
  model.vocab_size = settings.at("vocab");
  model.max_sequence_length = settings.at("length");
  model.moe.num_experts = settings.at("experts");
  model.moe.top_k = settings.at("top_k");
  return model;
}

SyntheticTokens::SyntheticTokens(uint64_t seed, int32_t vocab_size, int64_t count)
    : seed_(seed),
      vocabulary_(static_cast<uint64_t>(vocab_size)),
      tokens_(static_cast<size_t>(count)),
      labels_(static_cast<size_t>(count)) {}

void SyntheticTokens::Draw(int64_t step) {
  const CounterRng rng(seed_, "tokens");
  for (size_t i = 0; i < tokens_.size(); ++i) {
    const uint64_t draw = static_cast<uint64_t>(step) * tokens_.size() + i;
    tokens_[i] = static_cast<int32_t>(rng.Bits(2 * draw) % vocabulary_);
    labels_[i] = static_cast<int32_t>(rng.Bits(2 * draw + 1) % vocabulary_);
  }
}

std::map<std::string, double> SecondsByOperation(const StepGraph& graph, const Plan& plan,
                                                 std::span<const Span> spans) {
  std::map<std::string, double> seconds;
  for (const Span& span : spans) {
    const Op& op = graph.op(plan.tasks[static_cast<size_t>(span.task)].op);
    seconds[absl::StrCat(std::string(Name(op.key.kind)), ".", std::string(Name(op.direction())))] +=
        static_cast<double>(span.end_nanos - span.begin_nanos) * 1e-9;
  }
  return seconds;
}

}  // namespace weft
