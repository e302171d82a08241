#!/bin/bash
# An emulated cluster of 2 x 2 ranks comes up, runs a small job over its links, and leaves nothing behind; nor does one
# that cannot come up, or whose job was killed. So does one with a delay between its nodes, which no message undercuts.
# Skipped (exit code 77, one line) where namespaces cannot be made.
#
# usage: tests/integration/cluster_smoke.sh WEFT WEFTD [DELAY_SWITCH]
#   without DELAY_SWITCH, what is said of delays is not tested
set -euo pipefail
cluster=$(realpath "$(dirname "$0")/../../bench/cluster")

skip() {
  echo "SKIPPED: $*"
  exit 77
}
[ "$(id -u)" = 0 ] || skip "an emulated cluster needs root"
command -v ip > /dev/null && command -v tc > /dev/null || skip "ip and tc are not installed (iproute2)"
unshare --net --uts true 2> /dev/null || skip "this host does not allow network namespaces"
source "$cluster/names.sh"
[ -z "$(rank_namespaces)" ] || skip "a cluster is up already; bench/cluster/down.sh takes it away"
probe=${prefix}probe
{ ip netns add $probe && ip -n $probe link add v0 type veth peer name v1 &&
  tc -n $probe qdisc add dev v0 root tbf rate 1gbit burst 32kb limit 1mb; } 2> /dev/null ||
  { ip netns delete $probe 2> /dev/null; skip "this kernel has no veth or no tbf"; }
ip netns delete $probe

source "$(dirname "$0")/job.sh" "$@"
trap '"$cluster/down.sh"; end_everything' EXIT

# Everything that up.sh makes.
traces() {
  ip netns list | grep "^$prefix" || true
  ip -o link | grep -E 'eth0@|up[0-9]|down[0-9]|n[0-9]r[0-9]' | grep veth || true
  ls -d "${TMPDIR:-/tmp}/ompi.$prefix"* 2> /dev/null || true
  grep -xs delay_switch /proc/[0-9]*/comm || true
}
nothing_left() { [ -z "$(traces)" ] || fail "left behind $1: $(traces)"; }

# A job of three steps on the cluster that is up.
cluster_job() {
  WEFTD=$weftd timeout --kill-after=10 120 "$cluster/mpirun.sh" "$work/job.yaml" run.compare=[] training.steps=3 \
    cluster.compute_share=0.5 tuning.profile_seconds=100ms training.validation_batches=1 > "$work/out" 2> "$work/err" ||
    fail "exit code $? of a job on the cluster"
  grep -q '4 ranks on 2 nodes' "$work/err" || fail "not two nodes of two ranks"
}

links=(--nodes 2 --ranks-per-node 2 --intra 2gbit --inter 1gbit)
nothing_left "before"
"$cluster/up.sh" "${links[@]}" --inter 5 > "$work/out" 2>&1 && fail "a rate without a unit is accepted"
grep -q "inter '5' must be a rate" "$work/out" || fail "up.sh says: $(cat "$work/out")"
# A bridge cannot be made twice: fails with half of it standing.
mkdir "$work/bin"
printf '#!/bin/bash\ncase "$*" in *node1*) exit 1 ;; esac\nexec %s "$@"\n' "$(command -v ip)" > "$work/bin/ip"
chmod +x "$work/bin/ip"
PATH=$work/bin:$PATH "$cluster/up.sh" "${links[@]}" > "$work/out" 2>&1 && fail "up.sh does not notice that a command failed"
nothing_left "by an up.sh that failed"

"$cluster/up.sh" "${links[@]}" 2> "$work/err" || fail "up.sh: exit code $?"
[ "$(rank_namespaces | wc -l)" = 4 ] || fail "not four ranks: $(rank_namespaces)"
cluster_job
losses "$(newest)" "$work/cluster_losses"
"$cluster/down.sh"
nothing_left "by down.sh"
"$cluster/down.sh" || fail "down.sh of nothing: exit code $?"

# A job without its mpirun.
"$cluster/up.sh" "${links[@]}" 2> "$work/err" || fail "up.sh: exit code $?"
WEFTD=$weftd "$cluster/mpirun.sh" "$work/job.yaml" run.compare=[] "run.directory=$work/killed" training.steps=1000000 \
  tuning.profile_seconds=100ms > "$work/out" 2> "$work/err" &
mpirun=$!
grep -qm1 loss < <(timeout 60 tail -n +1 -F "$work/killed/latest/metrics.jsonl" 2> /dev/null) ||
  fail "the job on the cluster makes no step"
kill -KILL "$mpirun"
wait "$mpirun" || true
"$cluster/down.sh"
nothing_left "after mpirun was killed"
pgrep -af "$work/killed" && fail "ranks run on after mpirun was killed"

ranks 4 run.compare=[] training.steps=3 tuning.profile_seconds=100ms training.validation_batches=1 ||
  fail "exit code $? of the same job on one host"
losses "$(newest)" "$work/host_losses"
cmp "$work/host_losses" "$work/cluster_losses" || fail "the cluster learned something else"

export DELAY_SWITCH=${3-}
[ -n "$DELAY_SWITCH" ] || exit 0
delayed=("${links[@]}" --delay 2ms)
"$cluster/up.sh" "${links[@]}" --delay 2 > "$work/out" 2>&1 && fail "a delay without a unit is accepted"
grep -q "delay '2' must be a time" "$work/out" || fail "up.sh says: $(cat "$work/out")"
DELAY_SWITCH=$(command -v false) "$cluster/up.sh" "${delayed[@]}" > "$work/out" 2>&1 &&
  fail "up.sh does not notice that nothing delays"
nothing_left "by an up.sh without what delays"

"$cluster/up.sh" "${delayed[@]}" 2> "$work/err" || fail "up.sh with a delay: exit code $?"
shortest=$(nsenter --net="/run/netns/${prefix}n0r0" python3 "$(dirname "$0")/round_trip.py" "${network%.*}.3") ||
  fail "the nodes do not reach each other"
[ "$shortest" -ge 4000 ] || fail "there and back between nodes in $shortest us: less than twice the delay"
cluster_job
losses "$(newest)" "$work/delayed_losses"
cmp "$work/host_losses" "$work/delayed_losses" || fail "the cluster with a delay learned something else"
"$cluster/down.sh"
nothing_left "by down.sh of a cluster with a delay"

"$cluster/up.sh" "${delayed[@]}" 2> "$work/err" || fail "up.sh with a delay: exit code $?"
killed=$(ip netns pids "$switch")
[ "$(wc -w <<< "$killed")" = 1 ] || fail "not one process delays: '$killed'"
kill -KILL "$killed"
timeout 10 tail --pid="$killed" -s 0.05 -f /dev/null || fail "process $killed does not end"
"$cluster/down.sh"
nothing_left "after what delays was killed"
