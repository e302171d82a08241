#!/bin/bash
# The layers of cmake/WeftLayers.cmake hold: a forbidden edge fails the configure step with a message that says so, an
# allowed one does not, and no source includes a header of a layer that it may not link.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "layers_test: $*" >&2
  exit 1
}

# configure FROM TO: a project in which folder FROM links folder TO, with the real rules. Needs no compiler.
configure() {
  rm -rf "$work/project"
  mkdir -p "$work/project/$1" "$work/project/$2"
  cat > "$work/project/CMakeLists.txt" << CMAKE
cmake_minimum_required(VERSION 3.25)
project(edge LANGUAGES NONE)
include($root/cmake/WeftLayers.cmake)
include($root/cmake/WeftTargets.cmake)
add_subdirectory($2)
add_subdirectory($1)
CMAKE
  echo "weft_library($2)" > "$work/project/$2/CMakeLists.txt"
  echo "weft_library($1 DEPS weft::$2)" > "$work/project/$1/CMakeLists.txt"
  cmake -S "$work/project" -B "$work/project/build" > "$work/output" 2>&1
}

for edge in "scheduler comm" "scheduler runtime" "comm graph" "base tensor" "graph tensor" "tensor comm" \
  "models scheduler" "profiler comm" "runtime launch"; do
  read -r from to <<< "$edge"
  if configure "$from" "$to"; then fail "the configure step accepts that $from links $to"; fi
  tr -s ' \n' ' ' < "$work/output" | grep -q "layer '$from' may not link '$to' (weft::$to)" ||
    fail "$from -> $to failed without naming the edge: $(cat "$work/output")"
done
for edge in "scheduler graph" "comm tensor" "runtime scheduler" "launch runtime"; do
  read -r from to <<< "$edge"
  configure "$from" "$to" || fail "the configure step refuses that $from links $to: $(cat "$work/output")"
done

# forbidden_includes ROOT: every include under ROOT that crosses the table.
forbidden_includes() {
  local folder allowed pattern
  while read -r folder allowed; do
    [ -d "$1/$folder" ] || continue
    pattern=$(echo "$folder $allowed" | tr -s ' ' '\n' | sed '/^$/d' | paste -sd '|')
    # Only includes that start with one of our own folders are meant.
    (cd "$1" && grep -rnE --include='*.h' --include='*.cc' "^#include \"($folders)/" "$folder" |
      grep -vE "#include \"($pattern)/" || true)
  done < "$work/table"
}
sed -n 's/^set(WEFT_MAY_LINK_\([a-z]*\) \(.*\))$/\1 \2/p' cmake/WeftLayers.cmake | tr -d '"' > "$work/table"
folders=$(cut -d ' ' -f 1 "$work/table" | paste -sd '|')
[ "$(wc -l < "$work/table")" -ge 10 ] || fail "cannot read the table in cmake/WeftLayers.cmake"

mkdir -p "$work/tree/scheduler"
echo '#include "comm/communicator.h"' > "$work/tree/scheduler/bad.cc"
[ -n "$(forbidden_includes "$work/tree")" ] || fail "the search for forbidden includes finds nothing"
found=$(forbidden_includes "$root")
[ -z "$found" ] || fail "includes across the layers:
$found"
