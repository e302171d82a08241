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

# Where the cluster has shares: moves the thread that computes (its stream is called "compute") of every rank into the group
# with the limit, and leaves MPI's and the communication streams out of it, as an accelerator does. Ends when every rank has
# it, or with mpirun.
hold_compute_threads() {
  local -a missing=("$@")
  local rank groups process thread
  groups=$(cpu_groups)
  while [ "${#missing[@]}" -gt 0 ] && kill -0 $$ 2> /dev/null; do
    rank=${missing[0]}
    for process in $(< "$groups/$rank/cgroup.procs"); do
      for thread in /proc/"$process"/task/*; do
        [ "$(cat "$thread/comm" 2> /dev/null)" = compute ] || continue
        enter_group "$groups/$rank/compute" "${thread##*/}"
        missing=("${missing[@]:1}")
        continue 3
      done
    done
    sleep 0.02
  done
}
# enter_group DIRECTORY THREAD
enter_group() {
  if [ -e "$1/cgroup.threads" ]; then echo "$2" > "$1/cgroup.threads"; else echo "$2" > "$1/tasks"; fi
}
if [ -d "$(cpu_groups)/${ranks[0]}/compute" ]; then hold_compute_threads "${ranks[@]}" & fi

# As the agent does: mpirun itself is the daemon of the first host.
printf -v words '%q ' "${command[@]}"
exec "$here/agent.sh" "${ranks[0]}" "$words"
