#!/bin/bash
# What mpirun starts its daemon on a "host" with, in place of ssh: enters the namespace of that name, with a host name of
# its own (ranks with equal host names would share memory) and, where the cluster has shares, in the rank's control group.
#
# usage: bench/cluster/agent.sh [-OPTION...] HOST COMMAND...
set -euo pipefail
source "$(dirname "$0")/names.sh"
while [ "${1#-}" != "$1" ]; do shift; done # what mpirun would say to ssh
host=$1
shift
# Threads and children are born into the group.
group=$(cpu_groups)/$host
if [ -d "$group" ]; then
  echo $$ > "$group/cgroup.procs"
  export WEFT_COMPUTE_CGROUP=$group/compute # where threads that compute go of themselves
fi
# Not `ip netns exec`, which hides the control groups from the next agent. As ssh: the words are a command line.
exec nsenter --net="/run/netns/$host" unshare --uts bash -c 'hostname "$1"; shift; exec bash -c "$*"' agent "$host" "$@"
