#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "graph/topology.h"
#include "models/model_spec.h"

// Everything a job can be told, typed. launch/config reads it from YAML (one struct per top-level
// key, field names are the keys); configs/reference.yaml documents every field with its default and
// range.

namespace weft {

struct RunOptions {
  std::string name = "run";
  std::string directory = "runs";
  // After training: policies whose plans take turns with blocks of the same steps. Empty: none.
  std::vector<std::string> compare;
  // The same for workloads of forced routing, under the plan in force.
  std::vector<std::string> compare_workloads;
  int32_t compare_rounds = 6;  // in each of which every policy, or workload, gets one block
  int32_t compare_steps = 5;   // measured steps of one block
  int32_t log_every = 10;      // steps between plain progress lines
};

struct DataOptions {
  std::vector<std::string> paths;  // text files, directories of *.txt, or a .bin/.idx prefix
  std::string cache_directory = "data";
  std::string tokenizer = "bytes";
  double validation_fraction = 0.02;  // the tail of every document, held out
};

struct OptimizerOptions {
  double learning_rate = 1e-3;
  double min_learning_rate = 1e-4;  // where the cosine ends
  int32_t warmup_steps = 50;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;   // on matrices; never on norms and biases
  double gradient_clip = 1.0;  // global norm; 0: off
};

struct TrainingOptions {
  int32_t steps = 300;
  int32_t global_batch = 32;  // sequences a step over all ranks and micro-batches
  int32_t micro_batches = 1;  // per rank and step
  int32_t sequence_length = 128;
  uint64_t seed = 1234;
  int32_t validate_every = 50;     // steps; 0: at the end only
  int32_t validation_batches = 8;  // global batches of one validation
  OptimizerOptions optimizer;
};

// One emulated link: a transfer of n bytes takes latency + n / bandwidth after the last member has
// arrived.
struct EmulatedLink {
  double bandwidth = 0;  // bytes per second and rank; 0: not emulated
  double latency = 0;    // seconds
};

struct ClusterOptions {
  int32_t ranks_per_node = 0;   // 0: what host names say
  int32_t expert_parallel = 0;  // EP; 0: chosen from the topology
  int32_t expert_sharding = 0;  // ESP; 0: ranks_per_node, or 1 when EP is set
  int32_t tensor_parallel = 1;  // MP: ranks of a node that share attention heads
  int32_t zero_stage = 0;       // ZeRO; 1: the optimizer state is spread
  std::string device = "auto";  // what ranks compute on: "cpu", "cuda", or what there is
  bool share_devices = false;   // several ranks may use one CUDA device
  std::string device_collectives = "auto";  // on its memory: "nccl", "host", or what there is
  int32_t nccl_max_ctas = 0;  // blocks of threads that one of NCCL's may take; 0: NCCL's choice
  bool emulate = false;
  double compute_share = 1;  // computations take their processor time divided by this
  std::vector<int32_t> compute_processors;  // that computations keep to; empty: any
  EmulatedLink intra;
  EmulatedLink inter;
  double collective_deadline = 60;  // seconds
};

struct TuningOptions {
  std::string policy = "weft";  // or "sequential"
  int32_t trial_rounds = 3;     // in which plans predicted about equally fast take turns; 0: none
  bool replan = true;
  int32_t replan_every = 20;   // steps between looks at the refined costs
  double hysteresis = 2.0;     // times its own error that a predicted gain must exceed
  double profile_seconds = 8;  // budget of the calibration
  // Passes of the planner that no policy runs (scheduler/policies.h).
  std::vector<std::string> without_passes;
  std::vector<int32_t> degrees = {1, 2, 3, 4, 6, 8};  // candidate pipeline degrees
  // Candidates where an EP group spans nodes.
  std::vector<std::string> all_to_alls = {"direct", "pipe", "2dh", "1dh"};
  // Where experts work: "home"; "follow", as the load of the last steps says; "rebalance", at homes
  // that new plans may change; "auto", whatever is predicted to be faster. Policy weft only.
  std::string expert_placement = "auto";
  // Multiprocessors of a device that a plan may limit collectives to.
  std::vector<int32_t> sm_limits = {8, 16};
  // Plans may add in another order: experts may be copied or change homes, shards of experts
  // gathered.
  bool allow_reassociation = false;
  std::string grouped_products = "auto";  // GroupedMethod, by name; or the fastest
  std::string profile;                    // a saved profile.json to start from; empty: calibrate
  std::string plan;                       // a saved plan.json to run; empty: plan
};

struct CheckpointOptions {
  int32_t every = 0;  // steps; 0: at the end only
  bool at_end = true;
  int32_t keep = 2;  // newest checkpoints kept
};

struct ServiceOptions {
  std::string address = "127.0.0.1";  // or a network: this host's address inside it
  bool insecure_network = false;      // allows an address other than loopback, without encryption
  int32_t port = 0;                   // 0: any free port, written to the run directory
  double heartbeat_seconds = 0.5;
  double heartbeat_deadline = 5.0;  // a rank silent for longer is lost
};

struct JobOptions {
  int32_t schema_version = 1;
  RunOptions run;
  DataOptions data;
  ModelSpec model;
  TrainingOptions training;
  ClusterOptions cluster;
  TuningOptions tuning;
  CheckpointOptions checkpoint;
  ServiceOptions service;
};

}  // namespace weft
