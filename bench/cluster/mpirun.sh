#!/bin/bash
# Runs weftd under Open MPI's mpirun on the cluster that bench/cluster/up.sh has made, one rank a namespace. Needs root.
# A link inside a node is not shared memory here but a link as well, so that both kinds cost something.
#
# usage: bench/cluster/mpirun.sh CONFIG [ARGUMENT...]      arguments of weftd: KEY=VALUE, --plan FILE, ...
#
# WEFTD=PATH   the program; build/release/bin/weftd unless set. Exits with mpirun's code.
set -euo pipefail
source "$(dirname "$0")/names.sh"
[ $# -ge 1 ] || die "needs a configuration, as in: bench/cluster/mpirun.sh configs/quickstart.yaml training.steps=20"
need_root
here=$(realpath "$(dirname "$0")")
weftd=${WEFTD:-$here/../../build/release/bin/weftd}
[ -x "$weftd" ] || die "$weftd is not there; build it first: cmake --build --preset release --target weftd"

mapfile -t ranks < <(rank_namespaces)
[ "${#ranks[@]}" -gt 0 ] || die "no cluster is up; see bench/cluster/up.sh"
ranks_per_node=$(printf '%s\n' "${ranks[@]}" | grep -c "^${prefix}n0r")
hosts=$(IFS=,; echo "${ranks[*]/%/:1}")

# One thread of products a rank. Arguments come after the configuration: they win over it, and these over them.
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
command=(
  mpirun -n "${#ranks[@]}" --host "$hosts" --bind-to none
  -x OMP_NUM_THREADS -x OMP_WAIT_POLICY
  --mca plm rsh --mca plm_rsh_agent "$here/agent.sh" --mca plm_rsh_no_tree_spawn 1
  --mca pml ob1 --mca btl self,tcp
  --mca btl_tcp_if_include "$network" --mca oob_tcp_if_include "$network"
  --mca mpi_yield_when_idle 1
  "$weftd" "$@"
  "cluster.ranks_per_node=$ranks_per_node" cluster.emulate=false
  "service.address=$network" service.insecure_network=true
)

# As the agent does: mpirun itself is the daemon of the first host.
printf -v words '%q ' "${command[@]}"
exec "$here/agent.sh" "${ranks[0]}" "$words"
