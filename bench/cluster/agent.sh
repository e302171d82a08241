#!/bin/bash
# What mpirun starts its daemon on a "host" with, in place of ssh: enters the namespace of that name, with a host name of
# its own (ranks with equal host names would share memory).
#
# usage: bench/cluster/agent.sh [-OPTION...] HOST COMMAND...
set -euo pipefail
source "$(dirname "$0")/names.sh"
while [ "${1#-}" != "$1" ]; do shift; done # what mpirun would say to ssh
host=$1
shift
# As ssh: the words are a command line.
exec nsenter --net="/run/netns/$host" unshare --uts bash -c 'hostname "$1"; shift; exec bash -c "$*"' agent "$host" "$@"
