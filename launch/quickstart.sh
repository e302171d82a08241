#!/bin/bash
# From a fresh clone to a training run: installs what is missing, builds, fetches the text (8.4 MB, public domain) and
# trains configs/quickstart.yaml on 4 ranks of this machine, which emulate 2 nodes with 2 ranks each.
#
# usage: launch/quickstart.sh [--build-only] [KEY=VALUE...]      for example training.steps=50
#
# Exits with the job's exit code (docs/errors.md). Running it again repeats only what has changed.
set -euo pipefail
cd "$(dirname "$0")/.."

build_only=false
overrides=()
for argument in "$@"; do
  case "$argument" in
    --build-only) build_only=true ;;
    -h | --help)
      sed -n '2,7s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    -* | =*)
      echo "quickstart: unknown argument '$argument'; it takes --build-only and KEY=VALUE" >&2
      exit 2
      ;;
    *=*) overrides+=("$argument") ;;
    *)
      echo "quickstart: '$argument' is not of the form KEY=VALUE, as in training.steps=50" >&2
      exit 2
      ;;
  esac
done

launch/install_dependencies.sh
echo "building (the first time takes about ten minutes on two cores)"
cmake --preset release --log-level=WARNING > /dev/null
cmake --build --preset release --target weft weftd --parallel "$(env -u OMP_NUM_THREADS nproc)" -- --quiet
if "$build_only"; then exit 0; fi

text=data/quickstart
launch/fetch_quickstart_text.sh "$text" || {
  # The usual reason on a fresh machine: no list of packages yet.
  echo "quickstart: trying again after apt-get update" >&2
  if [ "$(id -u)" = 0 ]; then apt-get -qq update; else sudo apt-get -qq update; fi
  launch/fetch_quickstart_text.sh "$text"
}
build/release/bin/weft data prepare "$text"

export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive # four ranks share the cores; a spinning thread would take one
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# Containers often forbid the system call by which ranks copy from each other's memory: none.
exec mpirun -n 4 --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 \
  --mca btl_vader_single_copy_mechanism none \
  build/release/bin/weftd configs/quickstart.yaml "${overrides[@]}"
