#!/bin/bash
# Runs a test program as several ranks, processes that share one CUDA device. NCCL refuses two ranks of one host on a
# device: each process says that it is a host of its own, and they talk over TCP. Shows what is right, not what is fast.
#
# usage: tests/comm/nccl/on_one_device.sh PROGRAM RANKS [ARGUMENT...]
set -euo pipefail
program=${1:?usage: on_one_device.sh PROGRAM RANKS [ARGUMENT...]}
ranks=${2:?usage: on_one_device.sh PROGRAM RANKS [ARGUMENT...]}
shift 2

WEFT_RENDEZVOUS=$(mktemp -d)
trap 'rm -rf "$WEFT_RENDEZVOUS"' EXIT
export WEFT_RENDEZVOUS WEFT_WORLD_SIZE=$ranks
export NCCL_NET=Socket NCCL_P2P_DISABLE=1 NCCL_SHM_DISABLE=1 NCCL_SOCKET_IFNAME=lo NCCL_MAX_CTAS=4

pids=()
for ((rank = 0; rank < ranks; ++rank)); do
  WEFT_RANK=$rank NCCL_HOSTID=weft-rank-$rank "$program" "$@" > "$WEFT_RENDEZVOUS/output.$rank" 2>&1 &
  pids+=($!)
done
failed=0
for ((rank = 0; rank < ranks; ++rank)); do
  code=0
  wait "${pids[rank]}" || code=$?
  # Rank 0 speaks for all that went well.
  if [ "$rank" = 0 ] || [ "$code" != 0 ]; then sed "s/^/rank $rank: /" "$WEFT_RENDEZVOUS/output.$rank"; fi
  if [ "$code" != 0 ]; then
    echo "on_one_device.sh: rank $rank ended with exit code $code" >&2
    failed=1
  fi
done
exit "$failed"
