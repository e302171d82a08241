#!/bin/bash
# `weft launch --processes`: the job that four ranks run without mpirun has the losses of theirs under it, bit for bit,
# and never touches MPI; a mistake in the configuration is one sentence; a request to stop leaves a checkpoint, from
# which `weft resume --processes` goes on.
#
# usage: tests/integration/processes_smoke.sh WEFT WEFTD
set -euo pipefail
source "$(dirname "$0")/job.sh" "$@"
quick=(run.compare=[] training.steps=12 tuning.profile_seconds=100ms)

ranks 4 "${quick[@]}" || fail "exit code $? of the job under mpirun"
losses "$(newest)" "$work/mpirun_losses"

# From here on whoever initialises MPI fails.
export OMPI_MCA_pml=none
mpirun -n 1 "$weftd" "$work/job.yaml" "${quick[@]}" > "$work/out" 2>&1 && fail "MPI can be initialised without a pml"

launch launch --processes -n 4 "$work/job.yaml" "${quick[@]}"
join
[ "$code" = 0 ] || fail "exit code $code of the job without mpirun"
run=$(newest)
python3 "$checks" exit "$run" 0 -1 || fail "exit.json"
losses "$run" "$work/losses"
cmp "$work/mpirun_losses" "$work/losses" || fail "without mpirun the job learned something else"
python3 -c '
import json, sys
sys.exit(json.load(open(sys.argv[1]))["distributedInfo"]["backend"] != "socket")' "$run/trace-rank3.json" ||
  fail "the trace does not name the backend"

launch launch --processes -n 4 "$work/job.yaml" training.step=3
join
[ "$code" = 2 ] || fail "exit code $code instead of 2 for a key that is not there"
[ "$(grep -c "unknown key 'step'" "$work/err")" = 1 ] || fail "a mistake of all ranks is not said once"

launch launch --processes -n 4 "$work/job.yaml" training.steps=100000 training.validate_every=0
await 'status["step"] >= 2'
run=$(newest)
kill -INT "$launched"
join
[ "$code" = 75 ] || fail "exit code $code of a job that was asked to stop, instead of 75"
python3 "$checks" exit "$run" 75 -1 || fail "exit.json of the stopped job"
losses "$run" "$work/begun"
begun=$(wc -l < "$work/begun")
[ -s "$run/checkpoints/step-$begun/manifest.json" ] || fail "no checkpoint after step $begun"
launch resume --processes "$run" training.steps=$((begun + 2))
join
[ "$code" = 0 ] || fail "exit code $code of the resumed job"
losses "$run" "$work/resumed"
[ "$(wc -l < "$work/resumed")" = $((begun + 2)) ] || fail "the resumed job did not go on"
