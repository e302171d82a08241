#!/bin/bash
# A running job under `weft launch`, spoken to: status, plan, checkpoint, stop; then `weft resume` ends as the run that
# nobody interrupted.
#
# usage: tests/integration/control_smoke.sh WEFT WEFTD
set -euo pipefail
source "$(dirname "$0")/job.sh" "$@"
steps=150

ranks 4 training.steps=$steps || fail "exit code $? of the uninterrupted run"
losses "$(newest)" "$work/whole"
"$weft" status --run "$work/runs/latest" > "$work/out" 2> "$work/err" && fail "a job that has ended has a status"
[ $? = 3 ] || fail "weft status of a job that has ended: not exit code 3"

launch launch -n 4 "$work/job.yaml" training.steps=$steps
await 'status["step"] >= 2'
run=$(newest)
await "status['run_directory'] == '$run' and status['world_size'] == 4 and len(status['ranks']) == 4"
"$weft" plan --run "$run" > "$work/plan" || fail "weft plan: exit code $?"
grep -q '^plan epoch' "$work/plan" || fail "weft plan says: $(cat "$work/plan")"
"$weft" checkpoint --run "$run" > "$work/words" || fail "weft checkpoint: exit code $?"
await 'status["last_checkpoint_step"] > 0'
"$weft" stop --run "$run" > "$work/words" || fail "weft stop: exit code $?"
join
[ "$code" = 75 ] || fail "exit code $code of a stopped job instead of 75"
python3 "$checks" exit "$run" 75 -1 || fail "exit.json"
losses "$run" "$work/begun"
done_steps=$(wc -l < "$work/begun")
[ "$done_steps" -lt $steps ] || fail "the job was not stopped: it took $done_steps steps"
[ -s "$run/checkpoints/step-$done_steps/manifest.json" ] || fail "no checkpoint after step $done_steps"

launch resume "$run"
join
[ "$code" = 0 ] || fail "exit code $code of the resumed job"
python3 "$checks" exit "$run" 0 -1 || fail "exit.json of the resumed job"
losses "$run" "$work/resumed"
cmp "$work/whole" "$work/resumed" || fail "the resumed run learned something else"
