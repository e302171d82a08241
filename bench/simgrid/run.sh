#!/bin/bash
# Cross-checks the cost model's collectives against SimGrid: builds, simulates, compares and writes one JSON object.
#
# usage: bench/simgrid/run.sh [--install] --json FILE [--cluster configs/clusters/NAME.yaml]...
#   --install   install Debian's libsimgrid-dev first, as root; otherwise it must be there
set -euo pipefail
command="bench/simgrid/run.sh $*"
calling_directory=$PWD
cd "$(dirname "$0")/../.."
root=$PWD

die() {
  echo "bench/simgrid/run.sh: $*" >&2
  exit 2
}

install=false
json=''
arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    --install) install=true ;;
    --json)
      [ $# -ge 2 ] || die "--json needs a file"
      json=$(cd "$calling_directory" && realpath -m "$2")
      shift
      ;;
    --cluster)
      [ $# -ge 2 ] || die "--cluster needs the file of a cluster"
      arguments+=(--cluster "$(cd "$calling_directory" && realpath -m --relative-to="$root" "$2")")
      shift
      ;;
    *) die "unknown argument '$1'; there are --install, --json FILE and --cluster FILE" ;;
  esac
  shift
done
[ -n "$json" ] || die "--json is missing"
[ -d "$(dirname "$json")" ] || die "--json: the directory $(dirname "$json") does not exist"

if "$install"; then
  launch/install_dependencies.sh
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends libsimgrid-dev
fi
command -v smpirun > /dev/null || die "smpirun is missing: it is in Debian's libsimgrid-dev, which --install installs"
cmake --preset release --log-level=WARNING > /dev/null
cmake --build --preset release --target simgrid_model simgrid_collectives --parallel "$(env -u OMP_NUM_THREADS nproc)" -- --quiet
bench/simgrid/compare.py --json "$json" --command "$command" "${arguments[@]}"
