#!/bin/bash
# A rank of a running job dies, or stops answering: the job ends within a bounded time with exit code 3, says which rank
# it was, and no process is left.
#
# usage: tests/fault/rank_death.sh WEFT WEFTD [--processes]   under mpirun, or without
set -euo pipefail
source "$(dirname "$0")/../integration/job.sh" "$@"
ways=("${@:3}")

# gone PID: the rank has ended. mpirun does not wait for those that it has killed, so they get a moment; who was killed
# and not yet reaped runs no program any more.
gone() {
  timeout 20 tail --pid="$1" -s 0.05 -f /dev/null ||
    [ "$(readlink "/proc/$1/exe")" != "$(readlink -f "$weftd")" ]
}

# lose SIGNAL RANK
lose() {
  local signal=$1 rank=$2 pid
  launch launch "${ways[@]}" -n 4 "$work/job.yaml" training.steps=100000 training.validate_every=0
  await 'status["step"] >= 2'
  local run
  run=$(newest)
  local -a pids
  mapfile -t pids < <(python3 -c '
import json, sys
for rank in sorted(json.load(open(sys.argv[1]))["ranks"], key=lambda rank: rank["rank"]):
    print(rank["pid"])' "$work/status.json")
  [ "${#pids[@]}" = 4 ] || fail "status names ${#pids[@]} ranks"
  kill "-$signal" "${pids[rank]}"
  timeout 90 tail --pid="$launched" -s 0.05 -f /dev/null || fail "$signal of rank $rank: the job goes on"
  join
  [ "$code" = 3 ] || fail "$signal of rank $rank: exit code $code instead of 3"
  python3 "$checks" exit "$run" 3 "$rank" || fail "$signal of rank $rank"
  [ "$(grep '^weft launch: ' "$work/err" | grep -c "rank $rank")" = 1 ] ||
    fail "$signal of rank $rank: not one sentence that names it"
  for pid in "${pids[@]}"; do
    gone "$pid" || fail "$signal of rank $rank: process $pid is left"
  done
}

lose KILL 2
lose KILL 0
lose STOP 3 # who started the ranks sees nothing: the heartbeats do
