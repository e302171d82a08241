#!/bin/bash
# A whole job under real mpirun, from a text to a run directory; then the same plan again, plans and configurations that
# must be refused before anything starts.
#
# usage: tests/integration/quickstart_smoke.sh WEFT WEFTD
set -euo pipefail
source "$(dirname "$0")/job.sh" "$@"

ranks 4 || fail "exit code $? of a job that should succeed"
first=$(newest)
mapfile -t fields < <(sed -n 's/.*json\["\([a-z_]*\)"\].*/\1/p' "$(dirname "$0")/../../runtime/summary.cc")
python3 "$checks" summary "$first" 30 "${fields[@]}" || fail "summary"
python3 "$checks" learned "$first" 30 || fail "metrics"
python3 "$checks" traces "$first" 4 || fail "traces"
"$weft" explain "$first" > "$work/out" || fail "weft explain: exit code $?"
grep -q '^plan epoch' "$work/out" || fail "weft explain says: $(cat "$work/out")"
grep -q '^plans that the newest search compared' "$work/out" || fail "weft explain lacks the plans: $(cat "$work/out")"

# The plan of the first run, under the name that the second one takes over.
ranks 4 --plan "$work/runs/latest/plan.json" || fail "exit code $? with a plan of its own"
second=$(newest)
[ "$second" != "$first" ] || fail "the second run left no directory"
losses "$first" "$work/first"
losses "$second" "$work/second"
cmp "$work/first" "$work/second" || fail "the same plan gave other losses"

# refused PATTERN ARGUMENT...: exit code 2 and one sentence, which has PATTERN.
refused() {
  local pattern=$1 code=0
  shift
  ranks 4 "$@" || code=$?
  [ "$code" = 2 ] || fail "$*: exit code $code instead of 2"
  [ "$(grep -c '^weftd: ' "$work/err")" = 1 ] || fail "$*: not one sentence"
  grep '^weftd: ' "$work/err" | grep -qE "$pattern" || fail "$*: no '$pattern' in its sentence"
}

runs=$(ls "$work/runs")
refused 'ranks_per_node = 3 must divide the 4 ranks' cluster.ranks_per_node=3
refused 'expert_parallel 8 .*4 ranks' cluster.expert_parallel=8
refused 'global_batch = 6 must be a multiple of' training.global_batch=6
refused 'tuning.plan: cannot open .*absent.json' --plan "$work/absent.json"
[ "$(ls "$work/runs")" = "$runs" ] || fail "a run directory was made for a job that could not start"
refused "tuning.plan .*: it was made for another model" --plan "$first/plan.json" model.hidden_size=32
refused 'absent.txt is neither a text file' "data.paths=[$work/absent.txt]"

# check CODE PATTERN ARGUMENT...: weftd --check says so on one line.
check() {
  local expected=$1 pattern=$2 code=0
  shift 2
  "$weftd" --check "$work/job.yaml" "$@" > "$work/out" 2>&1 || code=$?
  [ "$code" = "$expected" ] || fail "--check $*: exit code $code instead of $expected"
  grep -qE "$pattern" "$work/out" || fail "--check $*: $(cat "$work/out")"
  [ "$(wc -l < "$work/out")" = 1 ] || fail "--check $*: more than one line"
}

check 0 'is valid: .*4 ranks' --ranks 4
check 0 'attention heads over 2 ranks' --ranks 4 model.num_kv_heads=2 cluster.tensor_parallel=2
check 2 'num_heads = 7 must divide' model.num_heads=7
check 2 'tensor_parallel = 2 must divide model.num_kv_heads = 1' cluster.tensor_parallel=2
check 2 'expert_parallel 8 .*4 ranks' --ranks 4 cluster.expert_parallel=8
check 2 "unknown key 'stepps' in training .did you mean 'steps'" training.stepps=3
