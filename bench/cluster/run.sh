#!/bin/bash
# Measures all policies on an emulated cluster: installs what is missing, builds, runs the configurations of grid.json and
# writes one JSON object. Needs root. The cluster is gone at the end, however it comes.
#
# usage: bench/cluster/run.sh [--quick] [--only NAME...] --json FILE
#   --quick    three configurations instead of all, within ten minutes after the build
#   --only     these configurations of the grid
set -euo pipefail
command="bench/cluster/run.sh $*"
calling_directory=$PWD
cd "$(dirname "$0")/../.."
source bench/cluster/names.sh

usage() {
  say "$@"
  sed -n '5,7s/^# \{0,1\}//p' bench/cluster/run.sh >&2
  exit 2
}

arguments=()
json=''
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) arguments+=("$1") ;;
    --json)
      [ $# -ge 2 ] || usage "--json needs a file"
      json=$(cd "$calling_directory" && realpath -m "$2")
      shift
      ;;
    --only)
      [ $# -ge 2 ] || usage "--only needs the name of a configuration"
      while [ $# -ge 2 ] && [[ "$2" != -* ]]; do
        arguments+=(--only "$2")
        shift
      done
      ;;
    *) usage "unknown argument '$1'" ;;
  esac
  shift
done
[ -n "$json" ] || usage "--json is missing"
[ -d "$(dirname "$json")" ] || usage "--json: the directory $(dirname "$json") does not exist"
[ "$(id -u)" = 0 ] || die "needs root: network namespaces and traffic shaping are the kernel's"

launch/install_dependencies.sh
if ! command -v tc > /dev/null; then
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends iproute2
fi
cmake --preset release --log-level=WARNING > /dev/null
cmake --build --preset release --target weftd delay_switch --parallel "$(env -u OMP_NUM_THREADS nproc)" -- --quiet

bench/cluster/measure.py "${arguments[@]}" --json "$json" --command "$command" &
measuring=$!
finish() {
  kill "$measuring" 2> /dev/null && wait "$measuring"
  bench/cluster/down.sh
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
wait "$measuring"
