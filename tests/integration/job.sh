# Sourced by the tests that start whole jobs: a directory of its own, a small text, the configuration of a small job on
# 2 nodes x 2 ranks behind emulated links, and how to start, watch and judge it. Everything is gone at the end, also the
# job that a failed test leaves behind.
#
# usage: source job.sh WEFT WEFTD
weft=$1
weftd=$2
checks=$(dirname "${BASH_SOURCE[0]}")/check_run.py
work=$(mktemp -d)
launched='' # the running `weft launch`, if any

end_everything() {
  if [ -n "$launched" ]; then
    # The second signal is for force; the launcher takes all ranks with it.
    kill -TERM "$launched" 2> /dev/null && kill -TERM "$launched" 2> /dev/null
    wait "$launched"
  fi
  rm -rf "$work"
}
trap end_everything EXIT

fail() {
  echo "$(basename "$0"): $*" >&2
  if [ -s "$work/err" ]; then
    echo "--- the job's last words:" >&2
    tail -n 30 "$work/err" >&2
  fi
  exit 1
}

export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive # four ranks share the cores
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# Words in an order that a fixed sequence gives: the same text everywhere.
awk 'BEGIN {
  count = split("the warp holds weft thread across loom and so it goes under over", words, " ")
  for (state = i = 1; i <= 6000; ++i) {
    state = (state * 1103515245 + 12345) % 2147483648
    printf "%s ", words[int(state / 65536) % count + 1]
  }
}' > "$work/words.txt"

cat > "$work/job.yaml" << YAML
schema_version: 1
run: {name: smoke, directory: $work/runs, compare: [sequential, weft], compare_rounds: 2, compare_steps: 2}
data: {paths: [$work/words.txt], cache_directory: $work/cache, validation_fraction: 0.1}
model:
  num_layers: 2
  hidden_size: 64
  num_heads: 2
  num_kv_heads: 1
  ffn_hidden_size: 128
  max_sequence_length: 64
  moe: {num_experts: 4, top_k: 2}
training:
  steps: 30
  global_batch: 8
  sequence_length: 64
  validate_every: 15
  validation_batches: 2
  optimizer: {learning_rate: 1e-2, min_learning_rate: 1e-3, warmup_steps: 3}
cluster:
  ranks_per_node: 2
  emulate: true
  intra: {bandwidth: 400MB/s, latency: 20us}
  inter: {bandwidth: 50MB/s, latency: 100us}
tuning: {profile_seconds: 500ms}
YAML

# ranks N ARGUMENT...: N ranks of weftd under mpirun, on the small job; words to $work/err. Returns their exit code; 124
# when they hang.
ranks() {
  local n=$1
  shift
  timeout --kill-after=10 120 mpirun -n "$n" --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 \
    --mca btl_vader_single_copy_mechanism none "$weftd" "$work/job.yaml" "$@" 2> "$work/err" > "$work/out"
}

# launch ARGUMENT...: `weft launch` (or another command that starts a job) in the background, as $launched.
launch() {
  "$weft" "$@" 2> "$work/err" > "$work/out" &
  launched=$!
}

# Waits for the end of the launched job; its exit code in $code.
join() {
  code=0
  wait "$launched" || code=$?
  launched=''
}

# await CONDITION: asks the running job for its status until CONDITION, a python expression over `status`, holds. The
# status then is in $work/status.json.
await() {
  local call
  for ((call = 0; call < 20000; ++call)); do
    if "$weft" status --json --run "$work/runs/latest" > "$work/status.json" 2> /dev/null &&
      python3 "$checks" status "$work/status.json" "$1"; then
      return
    fi
    kill -0 "$launched" 2> /dev/null || fail "the job ended before: $1"
  done
  fail "the job did not reach: $1"
}

# The directory of the newest run.
newest() { readlink -f "$work/runs/latest"; }

# losses RUN FILE: step and loss of every step, with all their digits.
losses() { python3 "$checks" losses "$1" > "$2" || fail "no losses in $1"; }
