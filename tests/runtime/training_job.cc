#include "tests/runtime/training_job.h"

#include <sstream>

#include "base/fingerprint.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "comm/sim/sim_backend.h"
#include "graph/fixed_plan.h"
#include "models/build_step_graph.h"
#include "runtime/batch_shape_of.h"
#include "runtime/storage/durable_file.h"
#include "tests/support/shuffle_order.h"

namespace weft {
namespace {

// Words in a random order: bytes that can be learned.
std::string SmallText() {
  const char* const words[] = {"the ", "warp ", "holds ", "weft ", "thread ", "across. ", "loom "};
  const CounterRng rng(5, "text");
  std::string text;
  for (uint64_t i = 0; text.size() < 20000; ++i) text += words[rng.Bits(i) % std::size(words)];
  return text;
}

}  // namespace

TrainingJob::TrainingJob(const TestDirectory& directory) {
  options.run.directory = directory.File("runs");
  options.data.paths = {directory.Write("text/words.txt", SmallText())};
  options.data.cache_directory = directory.File("cache");
  options.data.validation_fraction = 0.1;
  ModelSpec& model = options.model;
  model.num_layers = 2;
  model.hidden_size = 16;
  model.num_heads = 2;
  model.num_kv_heads = 1;
  model.ffn_hidden_size = 24;
  model.max_sequence_length = 16;
  model.init_std = 0.1;
  model.moe.num_experts = 6;
  TrainingOptions& training = options.training;
  training.steps = 30;
  training.global_batch = 8;
  training.sequence_length = 16;
  training.validate_every = 10;
  training.validation_batches = 2;
  training.optimizer.learning_rate = 1e-2;
  training.optimizer.warmup_steps = 3;
  options.tuning.profile_seconds = 0.1;
  options.tuning.replan = false;
  options.checkpoint.at_end = false;
}

StepGraph TrainingJob::Graph() const {
  return BuildStepGraph(options.model, topology, layout, BatchShapeOf(options.training, topology),
                        StepKind::kTraining);
}

ProposedPlan TrainingJob::Proposal(int64_t epoch, int32_t variant) const {
  const StepGraph graph = Graph();
  Plan plan = ShuffleOrder(graph,
                           MakeFixedPlan(graph, {.forward = 1 + variant % 3,
                                                 .backward = 1 + (variant + 1) % 4,
                                                 .slices = 1 + variant % 4}),
                           static_cast<uint64_t>(variant));
  plan.epoch = epoch;
  ProposedPlan proposal{epoch, PlanToJson(graph, plan), 0};
  proposal.fingerprint = Fingerprint(proposal.json);
  return proposal;
}

std::unique_ptr<Backend> BehindNodeLinks(std::unique_ptr<Backend> inner) {
  const Topology topology{4, 2};
  return std::make_unique<SimBackend>(std::move(inner),
                                      [topology](const std::vector<RankId>& ranks) {
                                        if (LinkOf(topology, ranks) == LinkClass::kInterNode)
                                          return SimLink{1, {200e6, 50e-6}};
                                        return SimLink{0, {1e9, 10e-6}};
                                      });
}

std::string TrainingResult::Read(std::string_view file) const {
  return LoadFile(run.Join(file)).value_or("");
}

nlohmann::json TrainingResult::Json(std::string_view file) const {
  return nlohmann::json::parse(Read(file), nullptr, /*allow_exceptions=*/false);
}

std::vector<nlohmann::json> TrainingResult::Metrics(std::string_view field) const {
  std::vector<nlohmann::json> lines;
  std::istringstream in(Read("metrics.jsonl"));
  for (std::string text; std::getline(in, text);) {
    nlohmann::json line = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (line.contains(std::string(field))) lines.push_back(std::move(line));
  }
  return lines;
}

std::vector<double> TrainingResult::Series(std::string_view field) const {
  std::vector<double> values;
  for (const nlohmann::json& line : Metrics(field)) {
    values.push_back(line[std::string(field)].get<double>());
  }
  return values;
}

absl::StatusOr<TrainingResult> RunTrainingJob(const TrainingJob& job) {
  TrainingResult result;
  if (job.run_directory.empty()) {
    WEFT_ASSIGN_OR_RETURN(result.run,
                          RunDirectory::Make(job.options.run.directory, job.options.run.name));
  } else {
    result.run = RunDirectory::At(job.run_directory);
  }
  InprocCoordination quiet(job.topology.world_size);
  InprocCoordination& coordination = job.coordination == nullptr ? quiet : *job.coordination;
  WEFT_RETURN_IF_ERROR(SpawnRanks(
      job.topology.world_size,
      [&](Backend& backend) -> absl::Status {
        const int32_t rank = backend.rank();
        const std::unique_ptr<ComputeDevice> cpu = MakeCpuDevice();
        ComputeDevice* device = job.device == nullptr ? cpu.get() : job.device;
        if (job.own_device != nullptr) device = job.own_device(backend);
        const JobArgs args{.backend = backend,
                           .device = *device,
                           .why_cpu = "",
                           .device_backend = job.own_device == nullptr ? nullptr : &backend,
                           .collectives = job.own_device == nullptr ? "" : "by NCCL",
                           .coordination = coordination.of(rank),
                           .options = job.options,
                           .topology = job.topology,
                           .layout = job.layout,
                           .run = result.run,
                           .config_text = job.config_text(rank),
                           .backend_name = "inproc",
                           .emulation = job.decorate ? "emulated" : "",
                           .resume = job.resume,
                           .stop_requested = [&job, rank] { return job.stop_requested(rank); }};
        WEFT_ASSIGN_OR_RETURN(const JobSummary summary, RunJob(args));
        if (rank == 0) result.summary = summary;
        return absl::OkStatus();
      },
      job.decorate));
  return result;
}

}  // namespace weft
