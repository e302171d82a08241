#include "runtime/trainer.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <numbers>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/fingerprint.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "comm/staged/staged_backend.h"
#include "graph/fixed_plan.h"
#include "profiler/instances.h"
#include "profiler/residuals.h"
#include "profiler/sinks/chrome_trace.h"
#include "runtime/batch_shape_of.h"
#include "runtime/batches.h"
#include "runtime/broadcast.h"
#include "runtime/checkpointing.h"
#include "runtime/comparison.h"
#include "runtime/data/corpus.h"
#include "runtime/data/ngram.h"
#include "runtime/job_profile.h"
#include "runtime/plan_changes.h"
#include "runtime/plan_ledger.h"
#include "runtime/plan_trial.h"
#include "runtime/replanner.h"
#include "runtime/run_log.h"
#include "runtime/span_gather.h"
#include "runtime/storage/durable_file.h"
#include "runtime/worker.h"

namespace weft {
namespace {

constexpr int64_t kSpansEvery =
    5;  // steps between two whose spans are gathered: what the online profile sees
constexpr size_t kTracedSteps = 3;   // newest gathered steps that the trace files show
constexpr int64_t kWarmSteps = 10;   // after these no buffer should grow
constexpr int64_t kTrialAfter = 12;  // steps of this process whose spans have refined the costs
constexpr size_t kMostRivals = 4;    // plans of a trial

double BytesPerToken(const Corpus& corpus) {
  std::vector<int32_t> ids(static_cast<size_t>(corpus.validation->tokens()));
  corpus.validation->Read(0, ids);
  return static_cast<double>(corpus.tokenizer->TextBytes(ids)) / static_cast<double>(ids.size());
}

class Trainer {
 public:
  explicit Trainer(const JobArgs& args)
      : args_(args), o_(args.options), rank_(args.backend.rank()) {}

  absl::StatusOr<JobSummary> Run() {
    WEFT_RETURN_IF_ERROR(Start());
    WEFT_RETURN_IF_ERROR(Profile());
    WEFT_RETURN_IF_ERROR(InstallFirstPlan());
    WEFT_RETURN_IF_ERROR(Train());
    WEFT_RETURN_IF_ERROR(Finish());
    return summary_;
  }

 private:
  // One step whose spans were gathered, with the plan it ran under.
  struct Gathered {
    std::shared_ptr<const Plan> plan;
    MergedStep merged;
  };

  bool forced() const { return o_.model.moe.routing == Routing::kForced; }
  bool first() const { return rank_ == 0; }
  bool on_host() const { return &kernels_->memory() == &HostMemory(); }
  Backend& backend() {
    if (on_host()) return args_.backend;
    return args_.device_backend != nullptr ? *args_.device_backend : *staged_;
  }
  std::string Join(std::string_view file) const { return args_.run.Join(file); }

  absl::Status Start();
  absl::Status Profile();
  absl::Status InstallFirstPlan();
  absl::Status LoadGivenPlan();
  absl::StatusOr<std::string> FirstPlanText();
  absl::StatusOr<std::string> PlanText(const std::string& policy, int64_t epoch) const;
  absl::StatusOr<std::shared_ptr<const Plan>> SharePlan(const absl::StatusOr<std::string>& made);
  absl::StatusOr<std::string> Explanation(const Plan& plan) const;
  absl::Status Install(const std::shared_ptr<const Plan>& plan);
  absl::Status Train();
  absl::StatusOr<StepReport> TrainStep(int64_t step);
  bool TrialAhead() const;
  absl::Status BeginTrial();
  absl::Status TakeTurn();
  absl::Status EndTrial();
  absl::Status Observe(const StepReport& report);
  absl::Status ChangePlan(double step_seconds);
  absl::Status ConsiderReplan();
  void TakeProposal();
  absl::Status Validate(int64_t step);
  absl::Status Checkpoint(int64_t steps_done);
  absl::Status Compare();
  absl::Status CompareForced();
  absl::Status WriteTrace();
  absl::Status Finish();

  const JobArgs& args_;
  const JobOptions& o_;
  const int rank_;
  std::unique_ptr<Kernels> kernels_;
  std::optional<StagedBackend> staged_;  // where tensors of a device go through the host
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Batches> batches_;
  double bytes_per_token_ = 1;  // of the held-out text
  std::unique_ptr<CheckpointStore> checkpoints_;
  std::unique_ptr<RunLog> log_;
  std::string products_so_far_;           // JobProfileArgs
  std::string given_plan_;                // rank 0: tuning.plan, checked; empty: plan
  std::unique_ptr<Replanner> replanner_;  // rank 0
  std::unique_ptr<PlanChanges> changes_;  // rank 0
  std::unique_ptr<PlanLedger> ledger_;
  std::optional<PlanTrial> trial_;  // while it goes on
  bool tried_ = false;              // the plan that runs is the fastest of those tried
  double prediction_ = 0;           // of the next step, in force before it runs
  std::deque<Gathered> gathered_;
  int64_t next_step_ = 0;
  int64_t checkpointed_ = -1;  // steps done at the newest checkpoint
  int64_t steps_run_ = 0;      // by this process
  int64_t warm_growths_ = 0;
  JobSummary summary_;
};

absl::Status Trainer::Start() {
  WEFT_ASSIGN_OR_RETURN(const Corpus corpus, LoadCorpus(o_.data, o_.model.vocab_size));
  const BatchShape batch = BatchShapeOf(o_.training, args_.topology);
  WEFT_ASSIGN_OR_RETURN(
      Batches batches, Batches::Make(corpus, o_.training, batch, rank_, args_.topology.world_size));
  batches_ = std::make_unique<Batches>(std::move(batches));
  bytes_per_token_ = BytesPerToken(corpus);

  WorkerOptions worker;
  worker.model = o_.model;
  worker.topology = args_.topology;
  worker.layout = args_.layout;
  worker.batch = batch;
  worker.optimizer = o_.training.optimizer;
  worker.seed = o_.training.seed;
  worker.deadline = absl::Seconds(o_.cluster.collective_deadline);
  worker.compute = {&args_.device, o_.cluster.compute_share, o_.cluster.compute_processors};
  kernels_ = args_.device.MakeKernels();
  if (!on_host() && args_.device_backend == nullptr)
    staged_.emplace(args_.backend, kernels_->memory(), args_.device.staging_memory());
  WEFT_ASSIGN_OR_RETURN(worker_, Worker::Connect(backend(), *kernels_, worker));
  ledger_ = std::make_unique<PlanLedger>(worker_->graph(StepKind::kTraining));

  // All ranks must be running the same job before they exchange anything that depends on it.
  const uint64_t mine = CombineFingerprints(FingerprintOf(*worker_->graph(StepKind::kTraining)),
                                            Fingerprint(args_.config_text));
  WEFT_ASSIGN_OR_RETURN(const std::string theirs,
                        BroadcastText(*worker_->groups().control, absl::StrCat(mine)));
  WEFT_RETURN_IF_ERROR(AgreeOnStatus(
      *worker_->groups().control,
      theirs == absl::StrCat(mine)
          ? absl::OkStatus()
          : absl::FailedPreconditionError(
                "its configuration, or what its device can do, differs from that of rank 0")));
  WEFT_RETURN_IF_ERROR(
      AgreeOnStatus(*worker_->groups().control, first() ? LoadGivenPlan() : absl::OkStatus()));

  checkpoints_ = std::make_unique<CheckpointStore>(Join("checkpoints"), o_.checkpoint.keep);
  if (args_.resume) {
    WEFT_ASSIGN_OR_RETURN(const LoadedCheckpoint loaded, LoadCheckpoint(*checkpoints_, *worker_));
    next_step_ = loaded.step;
    checkpointed_ = loaded.step;
    const auto products = loaded.metadata.find(std::string(kProductsInCheckpoints));
    if (products != loaded.metadata.end()) products_so_far_ = products->second;
  }
  JobStatus status;
  status.name = o_.run.name;
  status.phase = "starting";
  status.run_directory = args_.run.path();
  status.world_size = args_.topology.world_size;
  status.step = next_step_;
  status.total_steps = o_.training.steps;
  WEFT_ASSIGN_OR_RETURN(
      log_, RunLog::Open(args_.run, args_.coordination, rank_, status, o_.run.log_every));
  if (args_.resume)
    log_->Say(absl::StrCat("resumed after step ", next_step_, " from ", Join("checkpoints")));

  if (first()) {
    WEFT_ASSIGN_OR_RETURN(const NgramBaseline ngrams,
                          MeasureNgrams(*corpus.train, *corpus.validation, *corpus.tokenizer));
    summary_.unigram_bits_per_byte = ngrams.unigram_bits_per_byte;
    summary_.bigram_bits_per_byte = ngrams.bigram_bits_per_byte;
    log_->Say(absl::StrFormat(
        "text: %s tokens to train on, %s held out; unigram %.3f, bigram %.3f bits per byte",
        FormatCount(static_cast<double>(corpus.train->tokens())),
        FormatCount(static_cast<double>(corpus.validation->tokens())), ngrams.unigram_bits_per_byte,
        ngrams.bigram_bits_per_byte));
    log_->Say(absl::StrCat("device: ", args_.device.description(),
                           args_.why_cpu.empty() ? "" : absl::StrCat(" (", args_.why_cpu, ")")));
    if (!args_.collectives.empty())
      log_->Say(absl::StrCat("collectives of the device: ", args_.collectives));
    log_->Say(absl::StrFormat("model: %s parameters, %s used per token; %d ranks on %d nodes, %s",
                              FormatCount(static_cast<double>(CountParameters(o_.model))),
                              FormatCount(static_cast<double>(CountActiveParameters(o_.model))),
                              args_.topology.world_size, args_.topology.num_nodes(),
                              DescribeLayout(args_.layout)));
    if (forced())
      log_->Say(absl::StrCat("routing is FORCED, for benchmarks: workload ",
                             DescribeWorkload(o_.model.moe.workload, o_.model.moe)));
    if (!args_.emulation.empty())
      log_->Say(absl::StrCat("EMULATED on this host: ", args_.emulation));
  }
  return absl::OkStatus();
}

absl::Status Trainer::Profile() {
  log_->Phase("calibrating");
  WEFT_ASSIGN_OR_RETURN(
      JobProfile found,
      FindJobProfile({.backend = backend(),
                      .worker = *worker_,
                      .tuning = o_.tuning,
                      .machine = on_host() ? args_.emulation
                                           : absl::StrCat(args_.device.description(), "; ",
                                                          args_.collectives, "; ", args_.emulation),
                      .products_so_far = products_so_far_}));
  for (const std::string& line : found.news) log_->Say(line);
  if (!first()) return absl::OkStatus();
  const ProfileTable& calibration = found.table;
  log_->Say(ResidualsTable(calibration));
  const WorkerOptions& made = worker_->options();
  replanner_ =
      std::make_unique<Replanner>(worker_->graph(StepKind::kTraining), o_.tuning, calibration,
                                  StepShape{made.model, made.topology, made.layout, made.batch});
  replanner_->Live(worker_->homes());
  changes_ = std::make_unique<PlanChanges>(o_.tuning, *replanner_);
  return args_.run.Write("profile.json", ProfileToJson(calibration));
}

absl::StatusOr<std::string> Trainer::FirstPlanText() {
  if (!given_plan_.empty()) return given_plan_;
  WEFT_ASSIGN_OR_RETURN(PlanSearch search, replanner_->Search(o_.tuning.policy, 0));
  std::string text = PlanToJson(*worker_->graph(StepKind::kTraining), search.plan());
  changes_->Consider(std::move(search));
  return text;
}

absl::StatusOr<std::string> Trainer::PlanText(const std::string& policy, int64_t epoch) const {
  WEFT_ASSIGN_OR_RETURN(const Plan plan, replanner_->MakePlan(policy, epoch));
  return PlanToJson(*worker_->graph(StepKind::kTraining), plan);
}

// Before anything is measured: a plan of another model is a mistake that should not cost a
// calibration.
absl::Status Trainer::LoadGivenPlan() {
  if (o_.tuning.plan.empty()) return absl::OkStatus();
  const StepGraph& graph = *worker_->graph(StepKind::kTraining);
  WEFT_ASSIGN_OR_RETURN(const std::string text, LoadFile(o_.tuning.plan));
  auto plan = PlanFromJson(graph, text);
  if (plan.ok()) {
    if (const absl::Status valid = ValidatePlan(graph, *plan); !valid.ok()) plan = valid;
  }
  WEFT_RETURN_IF_ERROR(WithContext(plan.status(), absl::StrCat("tuning.plan ", o_.tuning.plan)));
  plan->epoch = 0;
  given_plan_ = PlanToJson(graph, *plan);
  return absl::OkStatus();
}

// COLLECTIVE: rank 0's plan on every rank, read from the same bytes.
absl::StatusOr<std::shared_ptr<const Plan>> Trainer::SharePlan(
    const absl::StatusOr<std::string>& made) {
  WEFT_RETURN_IF_ERROR(AgreeOnStatus(*worker_->groups().control, made.status()));
  WEFT_ASSIGN_OR_RETURN(const std::string text, BroadcastText(*worker_->groups().control, *made));
  WEFT_ASSIGN_OR_RETURN(Plan plan, PlanFromJson(*worker_->graph(StepKind::kTraining), text));
  return std::make_shared<const Plan>(std::move(plan));
}

absl::Status Trainer::InstallFirstPlan() {
  const auto plan = SharePlan(first() ? FirstPlanText() : "");
  const absl::Status installed = plan.ok() ? Install(*plan) : plan.status();
  WEFT_RETURN_IF_ERROR(AgreeOnStatus(*worker_->groups().control, installed));
  // Validation runs forward alone; what it costs is not worth a search.
  return worker_->Install(StepKind::kForward, std::make_shared<const Plan>(MakeFixedPlan(
                                                  *worker_->graph(StepKind::kForward), {})));
}

absl::StatusOr<std::string> Trainer::Explanation(const Plan& plan) const {
  WEFT_ASSIGN_OR_RETURN(const std::string text, replanner_->Explain(plan));
  return absl::StrCat(text, ToTable(changes_->considered()), ToTable(changes_->remembered()));
}

absl::Status Trainer::Install(const std::shared_ptr<const Plan>& plan) {
  const int64_t begin = MonotonicClock().NowNanos();
  WEFT_RETURN_IF_ERROR(worker_->Install(StepKind::kTraining, plan));
  if (!first()) return absl::OkStatus();
  changes_->Installed(plan, static_cast<double>(MonotonicClock().NowNanos() - begin) * 1e-9);
  prediction_ = replanner_->Predict(*plan);
  WEFT_ASSIGN_OR_RETURN(const std::string explanation, Explanation(*plan));
  const std::string json = PlanToJson(*worker_->graph(StepKind::kTraining), *plan);
  WEFT_RETURN_IF_ERROR(args_.run.Write("plan.json", json));
  WEFT_RETURN_IF_ERROR(args_.run.Write("explain.txt", explanation));
  args_.coordination.PublishPlan(json, explanation);
  log_->Say(absl::StrFormat("plan %d (%s) installed: predicted step %s; `weft explain %s` says why",
                            plan->epoch, plan->policy, FormatSeconds(prediction_),
                            args_.run.path()));
  return absl::OkStatus();
}

absl::StatusOr<StepReport> Trainer::TrainStep(int64_t step) {
  const Batches::Batch batch = batches_->Training(step);
  Worker::StepArgs args;
  args.step = step;
  args.tokens = batch.tokens;
  args.labels = batch.labels;
  args.update = step + 1;
  args.learning_rate = LearningRateAt(o_.training.optimizer, step, o_.training.steps);
  args.agreement.prepared_epoch = ledger_->prepared_epoch();
  const ControlRequests requests = args_.coordination.TakeRequests();
  args.agreement.stop = requests.stop || args_.stop_requested();
  args.agreement.checkpoint = requests.checkpoint;
  return worker_->RunStep(StepKind::kTraining, args);
}

// Whether a trial is to come; the same on all ranks.
bool Trainer::TrialAhead() const {
  const int64_t from = next_step_ + kTrialAfter - steps_run_;
  return o_.tuning.policy == "weft" && o_.tuning.plan.empty() && o_.tuning.trial_rounds > 0 &&
         steps_run_ <= kTrialAfter &&
         from + PlanTrial::StepsOf(kMostRivals, o_.tuning.trial_rounds) <= o_.training.steps;
}

// COLLECTIVE. What rank 0 would try takes turns from the next step on.
absl::Status Trainer::BeginTrial() {
  absl::StatusOr<Replanner::Contest> contest = Replanner::Contest();
  if (first()) {
    replanner_->Refresh();
    const int64_t epoch = worker_->plan(StepKind::kTraining)->epoch + 1;
    contest = replanner_->Rivals(o_.tuning.policy, epoch, kMostRivals);
    if (contest.ok()) changes_->Consider(std::move(contest->search));
  }
  Communicator& control = *worker_->groups().control;
  WEFT_RETURN_IF_ERROR(AgreeOnStatus(control, contest.status()));
  const std::vector<Plan>& rivals = contest->plans;
  WEFT_ASSIGN_OR_RETURN(const std::string text,
                        BroadcastText(control, absl::StrCat(rivals.size())));
  size_t count = 0;
  if (!absl::SimpleAtoi(text, &count)) return absl::InternalError("a trial of no plans");
  std::vector<std::shared_ptr<const Plan>> plans(count);
  for (size_t i = 0; i < count; ++i) {
    WEFT_ASSIGN_OR_RETURN(
        plans[i], SharePlan(first() ? PlanToJson(*worker_->graph(StepKind::kTraining), rivals[i])
                                    : std::string()));
  }
  trial_.emplace(std::move(plans), o_.tuning.trial_rounds);
  return absl::OkStatus();
}

absl::Status Trainer::TakeTurn() {
  if (worker_->plan(StepKind::kTraining) == trial_->plan()) return absl::OkStatus();
  WEFT_RETURN_IF_ERROR(worker_->Install(StepKind::kTraining, trial_->plan()));
  if (!first()) return absl::OkStatus();
  changes_->Tried(trial_->plan());
  prediction_ = replanner_->Predict(*trial_->plan());
  return absl::OkStatus();
}

// COLLECTIVE. Rank 0's times decide.
absl::Status Trainer::EndTrial() {
  const std::vector<std::shared_ptr<const Plan>>& plans = trial_->plans();
  size_t winner = trial_->Winner();
  std::vector<std::string> times;
  for (size_t i = 0; i < plans.size(); ++i) {
    times.push_back(absl::StrCat(plans[i]->policy, "'s ", FormatSeconds(trial_->SecondsOf(i))));
  }
  log_->Say(absl::StrCat("step ", next_step_, ": plans in turn: ", absl::StrJoin(times, ", "), "; ",
                         plans[winner]->policy, "'s stays"));
  WEFT_ASSIGN_OR_RETURN(const std::string text,
                        BroadcastText(*worker_->groups().control, absl::StrCat(winner)));
  if (!absl::SimpleAtoi(text, &winner) || winner >= plans.size())
    return absl::InternalError("no plan won the trial");
  auto plan = std::make_shared<Plan>(*plans[winner]);
  plan->epoch = plans.back()->epoch + 1;
  trial_.reset();
  tried_ = true;
  return Install(plan);
}

absl::Status Trainer::Train() {
  log_->Phase("training");
  const int64_t steps = o_.training.steps;
  bool stop = false;
  for (int64_t step = next_step_; step < steps && !stop; ++step) {
    TakeProposal();
    if (TrialAhead() && steps_run_ == kTrialAfter) WEFT_RETURN_IF_ERROR(BeginTrial());
    if (trial_.has_value()) WEFT_RETURN_IF_ERROR(TakeTurn());
    const std::shared_ptr<const Plan> plan = worker_->plan(StepKind::kTraining);
    WEFT_ASSIGN_OR_RETURN(const StepReport report, TrainStep(step));
    const StepTotals totals = worker_->totals(StepKind::kTraining);
    if (!std::isfinite(totals.cross_entropy) || !std::isfinite(totals.gradient_norm)) {
      return absl::OutOfRangeError(
          absl::StrFormat("step %d: the loss is %f and the gradient norm %f; the newest checkpoint "
                          "is from before this step",
                          step, totals.cross_entropy, totals.gradient_norm));
    }
    next_step_ = step + 1;
    if (++steps_run_ == kWarmSteps) warm_growths_ = Buffer::GrowthCount();
    const bool observe =
        next_step_ % kSpansEvery == 0 || steps - next_step_ < static_cast<int64_t>(kTracedSteps);
    if (observe) WEFT_RETURN_IF_ERROR(Observe(report));

    RunLog::StepFacts facts;
    facts.step = step;
    facts.loss = totals.cross_entropy;
    facts.balance = totals.balance;
    facts.gradient_norm = totals.gradient_norm;
    facts.learning_rate = LearningRateAt(o_.training.optimizer, step, steps);
    facts.step_seconds = report.seconds;
    facts.predicted_seconds = prediction_;
    facts.plan_epoch = plan->epoch;
    if (forced()) facts.workload = Name(o_.model.moe.workload);
    facts.tokens = worker_->options().batch.global_tokens();
    StepOverlap overlap;
    if (observe) {
      std::vector<StepOverlap> ranks;
      for (const auto& tasks : gathered_.back().merged.by_rank) ranks.push_back(OverlapOf(tasks));
      overlap = MeanOverlap(ranks);
      facts.overlap = &overlap;
    }
    WEFT_RETURN_IF_ERROR(log_->Step(facts));
    if (first()) replanner_->RecordRows(worker_->expert_counts());
    if (trial_.has_value()) {
      trial_->Record(report.seconds);
      if (first()) changes_->Measured(report.seconds, replanner_->fullness());
      if (trial_->over()) WEFT_RETURN_IF_ERROR(EndTrial());
    } else {
      WEFT_RETURN_IF_ERROR(ChangePlan(report.seconds));
    }
    const int32_t every = o_.training.validate_every;
    if (every > 0 && next_step_ % every == 0 && next_step_ < steps)
      WEFT_RETURN_IF_ERROR(Validate(next_step_));
    stop = totals.agreement.stop;
    const bool due = o_.checkpoint.every > 0 && next_step_ % o_.checkpoint.every == 0;
    if (due || stop || totals.agreement.checkpoint) WEFT_RETURN_IF_ERROR(Checkpoint(next_step_));
  }
  summary_.stopped = stop && next_step_ < steps;
  if (first()) changes_->Wait();  // nothing runs beside what is measured from here on
  return absl::OkStatus();
}

absl::Status Trainer::Observe(const StepReport& report) {
  WEFT_ASSIGN_OR_RETURN(const StepSpans spans, GatherSpans(*worker_->groups().control, report));
  Gathered gathered;
  gathered.plan = worker_->plan(StepKind::kTraining);
  WEFT_ASSIGN_OR_RETURN(gathered.merged, MergeStep({*worker_->graph(StepKind::kTraining),
                                                    *gathered.plan, args_.topology, args_.layout},
                                                   spans));
  if (first()) replanner_->Record(gathered.merged);
  gathered_.push_back(std::move(gathered));
  if (gathered_.size() > kTracedSteps) gathered_.pop_front();
  return absl::OkStatus();
}

// Between two steps: installs what all ranks have prepared, and looks for something better.
absl::Status Trainer::ChangePlan(double step_seconds) {
  if (first()) changes_->Measured(step_seconds, replanner_->fullness());
  const StepTotals totals = worker_->totals(StepKind::kTraining);
  if (std::shared_ptr<const Plan> agreed = ledger_->TakeAgreed(totals.agreement.prepared_epoch);
      agreed != nullptr) {
    WEFT_RETURN_IF_ERROR(Install(agreed));
  }
  const bool looks = first() && o_.tuning.replan && !TrialAhead();
  return looks ? ConsiderReplan() : absl::OkStatus();
}

absl::Status Trainer::ConsiderReplan() {
  // A plan for the last few steps would not pay.
  const bool look = next_step_ % o_.tuning.replan_every == 0 &&
                    o_.training.steps - next_step_ >= o_.tuning.replan_every;
  WEFT_ASSIGN_OR_RETURN(const PlanChanges::News news, changes_->BetweenSteps(look));
  if (news.predicted_seconds.has_value()) prediction_ = *news.predicted_seconds;
  if (news.judged.has_value()) {
    log_->Say(absl::StrFormat("step %d: plan %d was predicted to gain %s a step; measured: %s",
                              next_step_, news.judged->epoch,
                              FormatSeconds(news.judged->predicted_gain),
                              FormatSeconds(news.judged->gain())));
  }
  if (!news.proposal.has_value()) return absl::OkStatus();
  const Plan& plan = news.proposal->plan;
  log_->Say(absl::StrFormat("step %d: proposing plan %d: %s", next_step_, plan.epoch,
                            news.proposal->reason));
  ProposedPlan proposal;
  proposal.epoch = plan.epoch;
  proposal.json = PlanToJson(*worker_->graph(StepKind::kTraining), plan);
  proposal.fingerprint = Fingerprint(proposal.json);
  return args_.coordination.Propose(proposal);
}

void Trainer::TakeProposal() {
  const std::optional<ProposedPlan> proposal = args_.coordination.TakeProposal();
  if (!proposal.has_value()) return;
  // A plan that this rank cannot prepare is installed nowhere: the agreed epoch stays behind it.
  const absl::Status prepared = ledger_->Prepare(proposal->epoch, proposal->json);
  if (!prepared.ok())
    LogWarning(
        absl::StrCat("plan ", proposal->epoch, " refused: ", std::string(prepared.message())));
}

absl::Status Trainer::Validate(int64_t step) {
  double loss = 0;
  for (int32_t i = 0; i < o_.training.validation_batches; ++i) {
    const Batches::Batch batch = batches_->Validation(i);
    Worker::StepArgs args;
    args.step = step;
    args.tokens = batch.tokens;
    args.labels = batch.labels;
    args.record_spans = false;
    WEFT_RETURN_IF_ERROR(worker_->RunStep(StepKind::kForward, args).status());
    loss += worker_->totals(StepKind::kForward).cross_entropy;
  }
  const double per_token = loss / o_.training.validation_batches / std::numbers::ln2;
  return log_->Validation(step, per_token / bytes_per_token_);
}

absl::Status Trainer::Checkpoint(int64_t steps_done) {
  if (steps_done == checkpointed_) return absl::OkStatus();
  const absl::Status saved =
      SaveCheckpoint(*checkpoints_, *worker_,
                     {steps_done, absl::StrCat(absl::Hex(Fingerprint(args_.config_text)))});
  WEFT_RETURN_IF_ERROR(worker_->groups().control->Health());
  if (!saved.ok()) {
    // The job is worth more than this checkpoint: the earlier ones are intact, the next one will be
    // tried.
    log_->Say(absl::StrCat("checkpoint after step ", steps_done,
                           " FAILED: ", std::string(saved.message())));
    return absl::OkStatus();
  }
  checkpointed_ = steps_done;
  log_->Checkpoint(steps_done);
  return absl::OkStatus();
}

absl::Status Trainer::Compare() {
  log_->Phase("comparing");
  if (first()) replanner_->Refresh();
  std::vector<ComparedPolicy> policies;
  std::vector<std::shared_ptr<const Plan>> plans;
  for (const std::string& policy : o_.run.compare) {
    const int64_t epoch = worker_->plan(StepKind::kTraining)->epoch;
    if (tried_ && policy == o_.tuning.policy) {
      plans.push_back(worker_->plan(StepKind::kTraining));
    } else {
      WEFT_ASSIGN_OR_RETURN(plans.emplace_back(),
                            SharePlan(first() ? PlanText(policy, epoch) : ""));
    }
    ComparedPolicy& compared = policies.emplace_back();
    compared.policy = policy;
    if (!first()) continue;
    compared.predicted_step_seconds = replanner_->Predict(*plans.back());
    compared.busy_seconds = replanner_->BusySeconds(*plans.back());
    compared.order_bound_seconds = replanner_->OrderBound(*plans.back());
  }
  log_->Say(absl::StrFormat("comparing %s: %d rounds of %d steps each, in turn",
                            absl::StrJoin(o_.run.compare, ", "), o_.run.compare_rounds,
                            o_.run.compare_steps));
  WEFT_RETURN_IF_ERROR(
      CompareInTurn(*worker_, *batches_, plans, o_.run, o_.training.steps, policies));
  summary_.comparison = std::move(policies);
  return absl::OkStatus();
}

absl::Status Trainer::CompareForced() {
  log_->Phase("comparing");
  log_->Say(absl::StrFormat("comparing workloads %s: %d rounds of %d steps each, in turn",
                            absl::StrJoin(o_.run.compare_workloads, ", "), o_.run.compare_rounds,
                            o_.run.compare_steps));
  WEFT_ASSIGN_OR_RETURN(summary_.workloads,
                        CompareWorkloads(*worker_, *batches_, o_.run, o_.training.steps));
  return absl::OkStatus();
}

absl::Status Trainer::WriteTrace() {
  if (gathered_.empty()) return absl::OkStatus();
  TraceProcess process;
  process.rank = rank_;
  process.world_size = args_.topology.world_size;
  process.node = args_.topology.node_of(RankId{rank_});
  process.backend = args_.backend_name;
  const auto& tasks = gathered_.front().merged.by_rank[static_cast<size_t>(rank_)];
  if (!tasks.empty()) process.origin_nanos = tasks.front().begin_nanos;
  WEFT_ASSIGN_OR_RETURN(
      const std::unique_ptr<ChromeTrace> trace,
      ChromeTrace::Open(Join(absl::StrCat("trace-rank", rank_, ".json")), process));
  for (const Gathered& g : gathered_) {
    WEFT_RETURN_IF_ERROR(trace->AddStep(*worker_->graph(StepKind::kTraining), *g.plan,
                                        g.merged.step,
                                        g.merged.by_rank[static_cast<size_t>(rank_)]));
  }
  return trace->Close();
}

absl::Status Trainer::Finish() {
  if (!summary_.stopped) WEFT_RETURN_IF_ERROR(Validate(next_step_));
  if (o_.checkpoint.at_end) WEFT_RETURN_IF_ERROR(Checkpoint(next_step_));
  WEFT_RETURN_IF_ERROR(AgreeOnStatus(*worker_->groups().control, WriteTrace()));
  int64_t growths = Buffer::GrowthCount() - warm_growths_;
  if (steps_run_ < kWarmSteps) growths = 0;
  WEFT_RETURN_IF_ERROR(worker_->groups().control->AllReduce(View(&growths, {1}), ReduceOp::kSum));
  summary_.workspace_growths = growths;
  if (!o_.run.compare.empty() && !summary_.stopped) WEFT_RETURN_IF_ERROR(Compare());
  if (!o_.run.compare_workloads.empty() && !summary_.stopped) WEFT_RETURN_IF_ERROR(CompareForced());
  log_->FillSummary(summary_);
  if (forced()) summary_.workload = Name(o_.model.moe.workload);
  if (!first()) return absl::OkStatus();
  summary_.plan_switches = changes_->switches();
  summary_.plans_by_load = changes_->remembered();
  replanner_->Refresh();
  summary_.considered = changes_->considered();
  WEFT_ASSIGN_OR_RETURN(const std::string explanation, Explanation(changes_->running()));
  WEFT_RETURN_IF_ERROR(args_.run.Write("explain.txt", explanation));
  return args_.run.Write("profile.json", ProfileToJson(replanner_->costs_table()));
}

}  // namespace

absl::StatusOr<JobSummary> RunJob(const JobArgs& args) { return Trainer(args).Run(); }

}  // namespace weft
