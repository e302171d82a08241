#!/bin/bash
# Takes away everything that any bench/cluster/up.sh has made, also one that failed half way, and ends what still runs
# inside. Does nothing when there is nothing.
#
# usage: bench/cluster/down.sh
set -euo pipefail
source "$(dirname "$0")/names.sh"
[ $# -eq 0 ] || die "takes no argument, got '$1'"
need_root

# A process keeps its namespace alive.
end_processes() {
  local -a pids
  mapfile -t pids
  [ "${#pids[@]}" -gt 0 ] || return 0
  kill -KILL "${pids[@]}" 2> /dev/null || true
  for pid in "${pids[@]}"; do timeout 10 tail --pid="$pid" -s 0.05 -f /dev/null || true; done
}

# Namespaces take their devices, bridges and shaping with them.
for name in $(ip netns list | awk '{ print $1 }' | grep "^$prefix" || true); do
  ip netns pids "$name" | end_processes
  ip netns delete "$name"
done

# What Open MPI keeps of every host that it was on.
rm -rf "${TMPDIR:-/tmp}/ompi.$prefix"*
