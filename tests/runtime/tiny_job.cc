#include "tests/runtime/tiny_job.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/fingerprint.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "comm/staged/staged_backend.h"
#include "graph/fixed_plan.h"
#include "models/update_shard.h"
#include "tests/support/guarded_memory.h"
#include "tests/support/shuffle_order.h"

namespace weft {
namespace {

// Token `position` of sequence `sequence` of the global batch of `step`.
int32_t TokenAt(const TinyJob& job, const CounterRng& rng, int64_t step, int64_t sequence,
                int64_t position) {
  const int64_t index = (step * TinyJob::kGlobalBatch + sequence) * (job.length + 1) + position;
  return static_cast<int32_t>(rng.Bits(static_cast<uint64_t>(index)) %
                              static_cast<uint64_t>(job.model.vocab_size));
}

absl::StatusOr<std::shared_ptr<const Plan>> PlanOf(const TinyJob& job, const StepGraph& graph,
                                                   int64_t version) {
  if (job.make_plan != nullptr) {
    WEFT_ASSIGN_OR_RETURN(Plan plan, job.make_plan(graph, version));
    plan.epoch = version;
    return std::make_shared<const Plan>(std::move(plan));
  }
  const auto turned = [version](int32_t degree) {
    return static_cast<int32_t>((degree + version - 1) % 4 + 1);
  };
  const bool placed = version % 2 == 0;
  Plan plan = MakeFixedPlan(graph, {.forward = turned(job.forward_degree),
                                    .backward = turned(job.backward_degree),
                                    .slices = turned(job.slices),
                                    .streams = job.guarded ? 1 : kNumStreams,
                                    .all_to_all = job.all_to_all,
                                    .placements = placed ? job.placements : Placements{},
                                    .cut_blocks = job.cut_blocks});
  plan.epoch = version;
  if (job.shuffle != 0)
    plan = ShuffleOrder(graph, plan, job.shuffle + static_cast<uint64_t>(version));
  return std::make_shared<const Plan>(std::move(plan));
}

// Of all that a step leaves behind for the next one: values, weights as products read them,
// moments.
uint64_t FingerprintOfState(Worker& worker) {
  Memory& memory = worker.kernels().memory();
  uint64_t fingerprint = 0;
  std::vector<char> bytes;
  for (const Bucket* bucket : worker.parameters().all()) {
    for (const Buffer* buffer :
         {&bucket->value, &bucket->rounded, &bucket->adam_m, &bucket->adam_v}) {
      const Shape size = {buffer->capacity_bytes()};
      if (size.elements() == 0) continue;
      bytes.resize(static_cast<size_t>(size.elements()));
      memory.ToHost(buffer->view(DType::kU8, size), {bytes.data(), DType::kU8, size});
      fingerprint = CombineFingerprints(fingerprint, Fingerprint({bytes.data(), bytes.size()}));
    }
  }
  return fingerprint;
}

absl::Status Install(Worker& worker, const TinyJob& job, int64_t version) {
  WEFT_ASSIGN_OR_RETURN(const std::shared_ptr<const Plan> plan,
                        PlanOf(job, *worker.graph(StepKind::kTraining), version));
  const uint64_t before = FingerprintOfState(worker);
  const bool stays = plan->placements.homes == worker.homes();
  WEFT_RETURN_IF_ERROR(worker.Install(StepKind::kTraining, plan));
  if (!stays || FingerprintOfState(worker) == before) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(
      "installing plan ", version, " changed parameters or moments on rank ", worker.rank().value));
}

}  // namespace

ModelSpec TinyModel(Backbone backbone) {
  ModelSpec model;
  model.backbone = backbone;
  model.vocab_size = 29;
  model.num_layers = 2;
  model.hidden_size = 16;
  model.num_heads = 4;
  model.num_kv_heads = backbone == Backbone::kGpt2 ? 4 : 2;
  model.ffn_hidden_size = 20;
  model.max_sequence_length = TinyJob::kLength;
  model.init_std = 0.2;
  model.moe.num_experts = 6;
  model.moe.top_k = 2;
  return model;
}

namespace {

absl::StatusOr<TinyResult> RunTinyJobOn(Backend& backend, Kernels& kernels, const TinyJob& job) {
  const int32_t world = job.topology.world_size;
  WorkerOptions options;
  options.model = job.model;
  options.topology = job.topology;
  options.layout = job.layout;
  options.batch.length = job.length;
  options.batch.micro_batches = job.micro_batches;
  options.batch.sequences = TinyJob::kGlobalBatch / world / job.micro_batches;
  options.batch.global_sequences = TinyJob::kGlobalBatch;
  options.optimizer.epsilon = 1e-4;  // near-zero gradients must not turn rounding into whole steps
  options.optimizer.gradient_clip = job.gradient_clip;
  options.seed = 7;
  options.compute.device = job.device;
  options.deadline = job.deadline;
  WEFT_ASSIGN_OR_RETURN(const std::unique_ptr<Worker> worker,
                        Worker::Connect(backend, kernels, options));
  const StepGraph& graph = *worker->graph(StepKind::kTraining);
  WEFT_RETURN_IF_ERROR(ValidateStepGraph(graph));
  WEFT_RETURN_IF_ERROR(Install(*worker, job, 0));

  const CounterRng rng(11, "tokens");
  const int64_t sequences = TinyJob::kGlobalBatch / world;
  std::vector<int32_t> tokens(static_cast<size_t>(sequences * job.length));
  std::vector<int32_t> labels(tokens.size());
  TinyResult result;
  for (int64_t step = 0; step < job.steps; ++step) {
    if (job.switch_every > 0 && step > 0 && step % job.switch_every == 0) {
      WEFT_RETURN_IF_ERROR(Install(*worker, job, step / job.switch_every));
    }
    for (int64_t s = 0; s < sequences; ++s) {
      for (int64_t t = 0; t < job.length; ++t) {
        const int64_t sequence = backend.rank() * sequences + s;
        const auto at = static_cast<size_t>(s * job.length + t);
        tokens[at] = TokenAt(job, rng, step, sequence, t);
        labels[at] = TokenAt(job, rng, step, sequence, t + 1);
      }
    }
    Worker::StepArgs args;
    args.step = step;
    args.tokens = tokens;
    args.labels = labels;
    args.update = step + 1;
    args.learning_rate = job.learning_rate;
    WEFT_RETURN_IF_ERROR(worker->RunStep(StepKind::kTraining, args).status());
    const StepTotals& totals = worker->totals(StepKind::kTraining);
    result.losses.push_back(totals.cross_entropy);
    result.balances.push_back(totals.balance);
    result.norms.push_back(totals.gradient_norm);
  }
  if (job.layout.zero_stage > 0) {
    // What others updated in the last step comes with the next step's gathers.
    WEFT_RETURN_IF_ERROR(worker->Install(
        StepKind::kForward,
        std::make_shared<const Plan>(MakeFixedPlan(*worker->graph(StepKind::kForward), {}))));
    Worker::StepArgs args;
    args.tokens = std::span(tokens).first(static_cast<size_t>(options.batch.tokens()));
    args.labels = std::span(labels).first(static_cast<size_t>(options.batch.tokens()));
    WEFT_RETURN_IF_ERROR(worker->RunStep(StepKind::kForward, args).status());
  }
  Buffer copy(kernels.memory());
  for (Bucket* bucket : worker->parameters().all()) {
    const UpdateShard shard = UpdateShardOf(job.layout, worker->rank(), *bucket);
    for (const Parameter& p : bucket->parameters) {
      const auto read = [&](const TensorView& from, std::vector<float>& to) {
        to.resize(static_cast<size_t>(p.shape.elements()));
        const TensorView wide = copy.Ensure<float>(p.shape);
        kernels.Convert(from, wide);
        kernels.memory().ToHost(wide, View(to.data(), p.shape));
      };
      read(bucket->Weight(p), result.values[p.name]);
      read(bucket->Gradient(p), result.gradients[p.name]);
      const auto read_moment = [&](const Buffer& moment, std::vector<float>& to) {
        const int64_t begin = std::max(p.offset, shard.elements.begin);
        const int64_t end = std::min(p.offset + p.shape.elements(), shard.elements.end);
        to.resize(static_cast<size_t>(std::max<int64_t>(0, end - begin)));
        if (to.empty()) return;
        const Shape shape = {end - begin};
        kernels.memory().ToHost(View(moment.as<float>() + begin - shard.elements.begin, shape),
                                View(to.data(), shape));
      };
      read_moment(bucket->adam_m, result.adam_m[p.name]);
      read_moment(bucket->adam_v, result.adam_v[p.name]);
      result.parameters.push_back(p);
    }
  }
  return result;
}

}  // namespace

absl::StatusOr<TinyResult> RunTinyJob(Backend& backend, const TinyJob& job) {
  if (job.device != nullptr) {
    const std::unique_ptr<Kernels> kernels = job.device->MakeKernels();
    if (job.device_backend != nullptr) return RunTinyJobOn(*job.device_backend, *kernels, job);
    StagedBackend staged(backend, kernels->memory(), job.device->staging_memory());
    return RunTinyJobOn(staged, *kernels, job);
  }
  const std::unique_ptr<Kernels> kernels =
      job.reference_kernels ? MakeReferenceKernels() : MakeCpuKernels();
  if (!job.guarded) return RunTinyJobOn(backend, *kernels, job);
  GuardedMemory memory;
  GuardedKernels guarded_kernels(*kernels, memory);
  GuardedBackend guarded_backend(backend, memory);
  return RunTinyJobOn(guarded_backend, guarded_kernels, job);
}

namespace {

// Bit for bit, but that what is no number is like nothing.
template <typename T>
bool Alike(T a, T b) {
  return a == b && std::signbit(a) == std::signbit(b);
}

}  // namespace

std::string DifferenceOf(const std::vector<TinyResult>& a, const std::vector<TinyResult>& b) {
  if (a.size() != b.size()) return absl::StrCat(a.size(), " ranks beside ", b.size());
  for (size_t rank = 0; rank < a.size(); ++rank) {
    const auto differ = [rank](std::string_view what, const auto& x, const auto& y, size_t i) {
      return absl::StrFormat("rank %d: %s: %.17g and %.17g", rank, what, x[i], y[i]);
    };
    for (const auto& [what, series] :
         {std::pair("loss", &TinyResult::losses), std::pair("gradient norm", &TinyResult::norms)}) {
      const std::vector<double>&x = a[rank].*series, &y = b[rank].*series;
      if (x.size() != y.size()) return absl::StrCat(x.size(), " steps beside ", y.size());
      for (size_t i = 0; i < x.size(); ++i) {
        if (!Alike(x[i], y[i])) return differ(absl::StrCat(what, " of step ", i), x, y, i);
      }
    }
    for (const auto& [what, windows] :
         {std::pair("", &TinyResult::values), std::pair("adam_m.", &TinyResult::adam_m),
          std::pair("adam_v.", &TinyResult::adam_v)}) {
      if ((a[rank].*windows).size() != (b[rank].*windows).size()) return "other parameters";
      for (const auto& [name, x] : a[rank].*windows) {
        const auto found = (b[rank].*windows).find(name);
        if (found == (b[rank].*windows).end() || found->second.size() != x.size())
          return absl::StrCat("rank ", rank, ": ", what, name, " has other elements");
        for (size_t i = 0; i < x.size(); ++i) {
          if (!Alike(x[i], found->second[i]))
            return differ(absl::StrCat(what, name, "[", i, "]"), x, found->second, i);
        }
      }
    }
  }
  return "";
}

std::map<std::string, std::vector<float>> Merge(
    const std::vector<TinyResult>& ranks, const TinyResult& one_rank,
    std::map<std::string, std::vector<float>> TinyResult::*windows) {
  std::map<std::string, std::vector<float>> whole;
  for (const auto& [name, values] : one_rank.values) whole[name].assign(values.size(), 0.0f);
  for (const TinyResult& rank : ranks) {
    for (const Parameter& p : rank.parameters) {
      const std::vector<float>& local = (rank.*windows).at(p.name);
      std::vector<float>& canonical = whole.at(p.name);
      const int64_t columns = p.shape.rank() == 2 ? p.shape[1] : 1;
      for (int64_t row = 0; row < p.shape[0]; ++row) {
        const int64_t to = p.init.CanonicalRow(row);
        std::copy_n(local.begin() + row * columns, columns,
                    canonical.begin() + to * p.init.canonical_columns + p.init.first_column);
      }
    }
  }
  return whole;
}

}  // namespace weft
