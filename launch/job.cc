#include "launch/job.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/units.h"
#include "comm/session.h"
#include "launch/bootstrap.h"
#include "launch/commands/exit_codes.h"
#include "launch/config/config.h"
#include "launch/control/control_plane.h"
#include "launch/control/listen_address.h"
#include "launch/control/run_files.h"
#include "launch/device.h"
#include "launch/device_collectives.h"
#include "launch/device_memory.h"
#include "launch/job_file.h"
#include "launch/open_session.h"
#include "models/memory_estimate.h"
#include "runtime/batch_shape_of.h"
#include "runtime/broadcast.h"
#include "runtime/storage/durable_file.h"
#include "runtime/trainer.h"

namespace weft {
namespace {

std::atomic<bool> g_stop_requested{false};
std::atomic<int> g_stop_event{-1};  // an eventfd: readable when a stop was requested

void RequestStop(int /*signal*/) {
  g_stop_requested = true;
  const uint64_t one = 1;
  if (write(g_stop_event, &one, sizeof(one)) < 0) return;  // nobody has to be woken up
}

// False when nobody asked this rank to stop within that time.
bool AskedToStopWithin(absl::Duration time) {
  pollfd event{g_stop_event, POLLIN, 0};
  const absl::Time deadline = absl::Now() + time;
  int ready = -1;
  while (ready < 0) {  // the signal itself interrupts the wait
    const auto left = absl::ToInt64Milliseconds(deadline - absl::Now());
    ready = poll(&event, 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready < 0 && errno != EINTR) return false;
  }
  return ready > 0;
}

// A rank that was told to end and does not within this time leaves by force: nobody hangs.
constexpr absl::Duration kLeaveWithin = absl::Seconds(15);
// Before the ranks know each other, a mistake is usually everyone's (the configuration), and rank 0
// says it. So long the others wait to be ended with it; a mistake of their own they then say
// themselves.
constexpr absl::Duration kRankZeroFailsWithin = absl::Seconds(3);

// Notified when this process is on its way out.
absl::Notification& Leaving() {
  static absl::Notification leaving;
  return leaving;
}

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitDone;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
      return kExitUsage;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
      return kExitWorkerFailed;
    case absl::StatusCode::kDataLoss:
      return kExitCheckpoint;
    case absl::StatusCode::kResourceExhausted:
      return kExitStorage;
    case absl::StatusCode::kOutOfRange:
      return kExitNumerical;
    default:
      return kExitInternal;
  }
}

// Replaces links in the names of what the run starts from by what they mean now: `runs/latest`
// points at this run as soon as it has a directory.
absl::Status FixInputPaths(TuningOptions& tuning) {
  const std::pair<const char*, std::string*> inputs[] = {{"tuning.plan", &tuning.plan},
                                                         {"tuning.profile", &tuning.profile}};
  for (const auto& [key, path] : inputs) {
    if (path->empty()) continue;
    std::error_code error;
    const std::filesystem::path fixed = std::filesystem::canonical(*path, error);
    if (error) return FileError(absl::StrCat(key, ": cannot open"), *path, error.value());
    *path = fixed.string();
  }
  return absl::OkStatus();
}

// Everything of one rank, made in order and ended in reverse.
class Rank {
 public:
  explicit Rank(const JobCommand& command) : command_(command) {}

  absl::Status Start(int argc, char** argv);
  absl::StatusOr<JobSummary> Run();
  absl::Status Leave();
  // Tells the others why, waits until they know, and leaves without finalising the session.
  [[noreturn]] void Fail(const absl::Status& status);
  bool first() const { return session_ == nullptr || session_->rank() == 0; }
  const RunDirectory& run() const { return run_; }

 private:
  absl::Status OpenRunDirectory();
  // All communicators but the bootstrap's.
  void Abort(const absl::Status& cause);
  void OnAbort(const absl::Status& cause);

  JobCommand command_;
  LoadedConfig config_;
  std::unique_ptr<Session> session_;
  Topology topology_;
  Layout layout_;
  ChosenDevice device_;
  std::unique_ptr<Backend> backend_;
  ChosenCollectives collectives_;
  std::unique_ptr<Communicator> bootstrap_;
  RunDirectory run_ = RunDirectory::At("");
  std::unique_ptr<ControlPlane> control_;
};

absl::Status Rank::Start(int argc, char** argv) {
  WEFT_ASSIGN_OR_RETURN(session_, OpenSession(&argc, &argv));
  command_.log.rank = session_->rank();
  InitLog(command_.log);
  // The same file on every rank: each finds the same mistakes, rank 0 says them.
  WEFT_ASSIGN_OR_RETURN(config_, LoadConfig(command_.config_path, command_.overrides));
  WEFT_RETURN_IF_ERROR(ValidateConfig(config_, session_->world_size()));
  WEFT_RETURN_IF_ERROR(LeaveComputeProcessors(config_.options.cluster));
  WEFT_RETURN_IF_ERROR(FixInputPaths(config_.options.tuning));
  const JobOptions& o = config_.options;
  WEFT_ASSIGN_OR_RETURN(topology_, TopologyOf(o.cluster, session_->nodes()));
  WEFT_ASSIGN_OR_RETURN(layout_, LayoutOf(o.cluster, topology_, o.model.moe.num_experts));
  const std::vector<int>& hosts = session_->nodes();  // numbered from 0
  WEFT_RETURN_IF_ERROR(
      CheckHostsReach(o.service.address, 1 + *std::max_element(hosts.begin(), hosts.end())));
  const absl::Duration deadline = absl::Seconds(o.cluster.collective_deadline);
  std::unique_ptr<Backend> plain = session_->MakeBackend();
  std::vector<RankId> world;
  world.reserve(static_cast<size_t>(topology_.world_size));
  for (int32_t r = 0; r < topology_.world_size; ++r) world.push_back(RankId{r});
  WEFT_ASSIGN_OR_RETURN(bootstrap_, plain->Connect("bootstrap", world, deadline));
  WEFT_ASSIGN_OR_RETURN(device_, ChooseDevice(o.cluster, hosts, *bootstrap_));
  const BatchShape batch = BatchShapeOf(o.training, topology_);
  const RankId rank{session_->rank()};
  WEFT_RETURN_IF_ERROR(CheckDeviceMemory(EstimateMemory(o.model, topology_, layout_, batch, rank),
                                         o.model.dtype(), *device_.device, hosts, *bootstrap_));
  backend_ = WithEmulatedLinks(std::move(plain), o.cluster, topology_);
  WEFT_ASSIGN_OR_RETURN(
      collectives_,
      ChooseCollectives(o.cluster, o.tuning.sm_limits, device_, *backend_, *bootstrap_,
                        [this](const absl::Status& cause) { Abort(cause); }));
  WEFT_RETURN_IF_ERROR(OpenRunDirectory());

  ControlOptions control;
  control.rank = session_->rank();
  control.world_size = topology_.world_size;
  control.ranks_per_node = topology_.ranks_per_node;
  control.bind_address = o.service.address;
  control.insecure_network = o.service.insecure_network;
  control.port = o.service.port;
  control.heartbeat = absl::Seconds(o.service.heartbeat_seconds);
  control.deadline = absl::Seconds(o.service.heartbeat_deadline);
  control.run_directory = run_.path();
  const auto gather = [this](const std::string& mine) {
    return GatherTextOfAll(*bootstrap_, mine);
  };
  WEFT_ASSIGN_OR_RETURN(
      control_, ControlPlane::Connect(control, gather,
                                      [this](const absl::Status& cause) { OnAbort(cause); }));
  return absl::OkStatus();
}

absl::Status Rank::OpenRunDirectory() {
  const JobOptions& o = config_.options;
  std::string path;
  absl::Status made;
  if (first()) {
    if (!command_.resume.empty()) {
      path = command_.resume;
      made = CheckJobFile(path, {topology_, layout_});
    } else {
      auto run = RunDirectory::Make(o.run.directory, o.run.name);
      made = run.status();
      if (run.ok()) {
        path = run->path();
        made.Update(run->Write("config.yaml", ResolvedConfig(o)));
        made.Update(WriteJobFile(path, {topology_, layout_}));
      }
    }
    if (made.ok()) {
      RemoveOutcomeFiles(path);
      made = AnnounceRunDirectory(path);
    }
  }
  WEFT_RETURN_IF_ERROR(AgreeOnStatus(*bootstrap_, made));
  WEFT_ASSIGN_OR_RETURN(path, BroadcastText(*bootstrap_, path));
  run_ = RunDirectory::At(path);
  return absl::OkStatus();
}

absl::StatusOr<JobSummary> Rank::Run() {
  const JobOptions& o = config_.options;
  const JobArgs args{.backend = *backend_,
                     .device = *device_.device,
                     .why_cpu = device_.why_cpu,
                     .device_backend = collectives_.nccl.get(),
                     .collectives = collectives_.description,
                     .coordination = control_->client(),
                     .options = o,
                     .topology = topology_,
                     .layout = layout_,
                     .run = run_,
                     .config_text = ResolvedConfig(o),
                     .backend_name = std::string(session_->name()),
                     .emulation = DescribeEmulation(o.cluster),
                     .resume = !command_.resume.empty(),
                     .stop_requested = [] { return g_stop_requested.load(); }};
  return RunJob(args);
}

void Rank::Abort(const absl::Status& cause) {
  if (collectives_.nccl != nullptr) collectives_.nccl->Abort(cause);
  backend_->Abort(cause);
}

void Rank::OnAbort(const absl::Status& cause) {
  Abort(cause);
  // The main thread now finds its communicators aborted and leaves through Fail.
  std::thread([] {
    if (Leaving().WaitForNotificationWithTimeout(kLeaveWithin)) return;
    LogError("this rank was told to leave and did not: leaving by force");
    _exit(kExitWorkerFailed);
  }).detach();
}

void Rank::Fail(const absl::Status& status) {
  absl::Status cause = status;
  if (control_ != nullptr) {
    control_->client().ReportFailure(status);
    if (const auto failure = control_->client().failure(); failure.has_value())
      cause = failure->cause;
  }
  const int code = ExitCodeOf(cause);
  // One write: mpirun has words of its own about a rank that fails, and puts them in between. Who
  // leaves before rank 0 has spoken is ended without words of its own.
  if (first()) {
    std::cerr << absl::StrCat("weftd: ", cause.message(), "\n");
  } else if (control_ == nullptr && !AskedToStopWithin(kRankZeroFailsWithin)) {
    std::cerr << absl::StrCat("weftd: rank ", session_->rank(), ": ", cause.message(), "\n");
  }
  if (control_ != nullptr) control_->Leave().IgnoreError();  // the job has failed already
  Leaving().Notify();
  std::cout.flush();
  std::fflush(nullptr);
  _exit(code);
}

absl::Status Rank::Leave() {
  WEFT_RETURN_IF_ERROR(control_->Leave());
  control_.reset();
  bootstrap_.reset();
  collectives_.nccl.reset();
  backend_.reset();
  return session_->Finalize();
}

void PrintComparison(const std::vector<ComparedPolicy>& policies) {
  if (policies.empty()) return;
  absl::FPrintF(stderr, "%-16s%-12s%-12s%-12stimes as fast as %s (over the rounds)\n", "policy",
                "step", "predicted", "bound", policies[0].policy);
  for (const ComparedPolicy& p : policies) {
    absl::FPrintF(stderr, "%-16s%-12s%-12s%-12s%.2f (%.2f to %.2f)\n", p.policy,
                  FormatSeconds(p.step_seconds), FormatSeconds(p.predicted_step_seconds),
                  FormatSeconds(p.bound_seconds()), p.speedup, p.speedup_low, p.speedup_high);
  }
}

void PrintWorkloads(const std::vector<ComparedWorkload>& workloads) {
  if (workloads.empty()) return;
  absl::FPrintF(stderr, "%-16s%-12s%-20stimes as slow as %s (over the rounds)\n", "workload",
                "step", "fullest rank", std::string(Name(workloads[0].workload)));
  for (const ComparedWorkload& w : workloads) {
    absl::FPrintF(stderr, "%-16s%-12s%-20s%.2f (%.2f to %.2f)\n", std::string(Name(w.workload)),
                  FormatSeconds(w.step_seconds),
                  absl::StrFormat("%.2f of the mean", w.fullest_rank), w.slowdown, w.slowdown_low,
                  w.slowdown_high);
  }
}

void PrintSummary(const JobSummary& s, const std::string& run) {
  std::cerr << "\n";
  if (!s.workload.empty()) absl::FPrintF(stderr, "routing         forced: %s\n", s.workload);
  absl::FPrintF(stderr, "held-out text   %.3f bits per byte  (bigram %.3f, unigram %.3f)\n",
                s.val_bits_per_byte, s.bigram_bits_per_byte, s.unigram_bits_per_byte);
  // A resumed run that had ended already has no step to speak of.
  const bool stepped = s.measured_step_seconds > 0;
  if (stepped) {
    absl::FPrintF(stderr, "step            %s measured, %s predicted (%+.1f%%), plan epoch %d\n",
                  FormatSeconds(s.measured_step_seconds), FormatSeconds(s.predicted_step_seconds),
                  100.0 * (s.predicted_step_seconds / s.measured_step_seconds - 1.0), s.plan_epoch);
    absl::FPrintF(stderr, "speed           %s tokens/s\n", FormatCount(s.tokens_per_second));
  }
  if (stepped && s.world_size > 1) {
    absl::FPrintF(stderr,
                  "communication   %s hidden, %s exposed per step; %.0f%% of inter-node transfers "
                  "beside compute\n",
                  FormatSeconds(s.hidden_communication_seconds),
                  FormatSeconds(s.exposed_communication_seconds), 100.0 * s.overlap_fraction);
  }
  PrintComparison(s.comparison);
  PrintWorkloads(s.workloads);
  absl::FPrintF(stderr, "everything is in %s (trace-rank*.json opens in ui.perfetto.dev)\n", run);
}

}  // namespace

int RunRank(int argc, char** argv, const JobCommand& command) {
  g_stop_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = RequestStop;
  sigaction(SIGUSR1, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);

  Rank rank(command);
  if (const absl::Status started = rank.Start(argc, argv); !started.ok()) rank.Fail(started);
  absl::StatusOr<JobSummary> summary = rank.Run();
  if (!summary.ok()) rank.Fail(summary.status());
  summary->exit_code = summary->stopped ? kExitStopped : kExitDone;
  if (rank.first()) {
    PrintSummary(*summary, rank.run().path());
    if (const absl::Status written = rank.run().Write("summary.json", SummaryToJson(*summary));
        !written.ok()) {
      rank.Fail(written);
    }
  }
  if (const absl::Status left = rank.Leave(); !left.ok()) rank.Fail(left);
  return summary->exit_code;
}

}  // namespace weft
