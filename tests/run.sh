#!/bin/bash
# Everything that must hold before a change is merged. The last line is "N passed, N failed, N skipped"; the exit code is
# 0 only when nothing failed. Works on a clean clone on Debian 12, as root or not.
#
# usage: tests/run.sh [--fast]
#   --fast   leave out the sanitizer builds and clang-tidy
#
# WEFT_TIDY_FILES=N   clang-tidy looks at no more than N changed files (default 40; 0: at all of them)
# WEFT_JOBS=N         compiler processes at a time (default: one a core)
set -uo pipefail
cd "$(dirname "$0")/.." || exit

fast=false
case "${1-}" in
  "") ;;
  --fast) fast=true ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

jobs=${WEFT_JOBS:-$(env -u OMP_NUM_THREADS nproc)}
passed=0
failed=0
skipped=0
failures=()
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# stage NAME COMMAND...: runs one stage and prints how long it took. A stage counts its own checks by pass, fail, skip.
stage() {
  local name=$1 begin=$SECONDS
  shift
  echo "== $name"
  "$@"
  echo "== $name: $((SECONDS - begin)) s"
}

pass() { passed=$((passed + ${1:-1})); }
skip() { skipped=$((skipped + ${1:-1})); }
fail() {
  failed=$((failed + 1))
  failures+=("$1")
  echo "FAILED: $1"
}

# check NAME COMMAND...: one check of this script's own.
check() {
  local name=$1
  shift
  if "$@"; then pass; else
    fail "$name"
    return 1
  fi
}

finish() {
  if [ "${#failures[@]}" -gt 0 ]; then printf 'FAILED: %s\n' "${failures[@]}"; fi
  echo "$passed passed, $failed failed, $skipped skipped"
  [ "$failed" -eq 0 ]
  exit
}

# A clone has git, a source archive has not.
tracked_sources() {
  if git rev-parse --is-inside-work-tree > /dev/null 2>&1; then
    git ls-files -- "*.h" "*.cc" "*.cu" | while read -r file; do [ -f "$file" ] && echo "$file"; done
  else
    find . -path ./build -prune -o \( -name '*.h' -o -name '*.cc' -o -name '*.cu' \) -print | sed 's|^\./||'
  fi
}

# format_one FILE: prints its name when clang-format would change it.
format_one() { clang-format --dry-run -Werror "$1" > /dev/null 2>&1 || echo "$1"; }
export -f format_one

check_format() {
  local unformatted
  unformatted=$(tracked_sources | tr '\n' '\0' | xargs -0 -r -n 1 -P "$jobs" bash -c 'format_one "$1"' format)
  [ -z "$unformatted" ] && return
  echo "not formatted by .clang-format:"
  echo "$unformatted" | sort
  return 1
}

configure() {
  cmake --preset "$1" --log-level=WARNING > "$work/configure" 2>&1 || {
    cat "$work/configure"
    return 1
  }
}

# build PRESET [TARGET...]: configures and builds; without targets, everything. Shows the end of the log when it fails.
build() {
  local preset=$1
  shift
  configure "$preset" || return
  cmake --build --preset "$preset" --parallel "$jobs" ${1+--target "$@"} > "$work/build" 2>&1 || {
    grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking|Generating)' "$work/build" | tail -n 100
    return 1
  }
}

# attribute NAME FILE: a number of the first element of a JUnit report.
attribute() { sed -n "s/^[[:space:]]*$1=\"\([0-9]*\)\".*/\1/p" "$2" | head -n 1; }

# run_ctest PRESET ARGUMENT...: runs the tests that ctest's arguments choose and counts them. What GoogleTest itself
# skipped inside a test is counted as well.
run_ctest() {
  local preset=$1 report=$work/junit.xml log name tests bad not_run cases code=0
  shift
  log=build/$preset/Testing/Temporary/LastTest.log
  rm -f "$report" "$log"
  # The address space randomisation of newer kernels leaves the thread sanitizer no room for its memory.
  local -a steady=()
  if [ "$preset" = tsan ] && setarch "$(uname -m)" -R true 2> /dev/null; then
    steady=(setarch "$(uname -m)" -R)
  fi
  "${steady[@]}" ctest --test-dir "build/$preset" --parallel 2 --output-on-failure --output-junit "$report" "$@" || code=$?
  [ -s "$report" ] || {
    fail "$preset: ctest left no report ($*)"
    return
  }
  tests=$(attribute tests "$report")
  bad=$(attribute failures "$report")
  not_run=$(($(attribute skipped "$report") + $(attribute disabled "$report")))
  cases=$(sed -n 's/^\[  SKIPPED \] \([0-9]*\) test.*/\1/p' "$log" 2> /dev/null | awk '{ n += $1 } END { print n + 0 }')
  pass $((tests - bad - not_run))
  skip $((not_run + cases))
  while read -r name; do fail "$preset: $name"; done < <(
    sed -n 's/.*<testcase name="\([^"]*\)".*status="fail".*/\1/p' "$report"
  )
  # A test program that was never built is "skipped" in the report.
  if [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; then fail "$preset: ctest $* (exit code $code)"; fi
}

# programs_of PRESET REGEX: the programs, built or not, of the unit tests of a configured preset whose names match.
programs_of() {
  ctest --test-dir "build/$1" -N -L '^unit$' -LE '^(fault|long|device)$' -R "$2" | sed -n 's/^ *Test *#[0-9]*: \([a-z0-9_]*\).*/\1/p' | sort -u |
    while read -r name; do # a test that runs a script has no program of its name
      if grep -rqF --include=CTestTestfile.cmake "/tests/$name\"" "build/$1/tests"; then echo "$name"; fi
    done
}

# sanitize PRESET REGEX: builds the unit tests whose names match, and nothing else, and runs them. Fault tests trace their
# programs and kill them, which the sanitizers take for themselves; long ones would take minutes.
sanitize() {
  local preset=$1 regex=$2 names
  configure "$preset" || {
    fail "$preset: configure"
    return
  }
  local -a programs
  mapfile -t programs < <(programs_of "$preset" "$regex")
  [ "${#programs[@]}" -gt 0 ] || {
    fail "$preset: no test matches '$regex'"
    return
  }
  check "$preset: build" build "$preset" "${programs[@]}" || return
  names=$(printf '%s|' "${programs[@]}")
  run_ctest "$preset" -L '^unit$' -LE '^(fault|long|device)$' -R "^(${names%|})(\..*)?\$"
}

# The sources that differ from the branch this work goes into; on that branch, those of its last commit.
changed_sources() {
  local base='' upstream file
  git rev-parse --is-inside-work-tree > /dev/null 2>&1 || return 0
  for upstream in origin/HEAD origin/main main; do
    base=$(git merge-base HEAD "$upstream" 2> /dev/null) && break
  done
  if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
    base=$(git rev-parse -q --verify 'HEAD~1') || base=''
  fi
  {
    if [ -n "$base" ]; then
      git diff --name-only "$base"
    else
      git show --name-only --format= HEAD # a clone without history has one commit
    fi
    git ls-files --others --exclude-standard
  } | while read -r file; do
    case "$file" in
      *.cc) ;;
      *.h) file=${file%.h}.cc ;; # a header is looked at through its source
      *) continue ;;
    esac
    if [ -f "$file" ]; then echo "$file"; fi
  done | sort -u
}

# Where clang-tidy finds how things are compiled: as in the release build, but without precompiled headers, which are GCC's and
# would hide a missing #include.
tidy_commands() {
  sed 's| -Winvalid-pch -include [^ ]*/cmake_pch\.hxx||' build/release/compile_commands.json > "$work/compile_commands.json"
}

# tidy_one FILE: prints clang-tidy's words only when it finds something.
tidy_one() {
  local words
  words=$(clang-tidy -p "$work" --quiet "$1" 2>&1) && return
  echo "$words" | grep -v '^[0-9]* warnings\? \(generated\|treated\)'
  return 1
}
export -f tidy_one
export work

tidy() {
  local -a files
  local limit=${WEFT_TIDY_FILES:-40}
  # Only what is compiled here can be analysed.
  mapfile -t files < <(changed_sources | while read -r file; do
    if grep -qF "/$file\"" build/release/compile_commands.json; then echo "$file"; fi
  done)
  if [ "$limit" -gt 0 ] && [ "${#files[@]}" -gt "$limit" ]; then
    echo "looking at $limit of ${#files[@]} changed files; WEFT_TIDY_FILES=0 looks at all"
    skip $((${#files[@]} - limit))
    files=("${files[@]:0:limit}")
  fi
  echo "${#files[@]} files"
  tidy_commands
  check "clang-tidy" xargs -0 -r -n 1 -P "$jobs" bash -c 'tidy_one "$1"' tidy < <(
    if [ "${#files[@]}" -gt 0 ]; then printf '%s\0' "${files[@]}"; fi
  )
}

# With a CUDA compiler, CI compiles the device's code as well, CUTLASS's kernels included.
cuda=()
if command -v nvcc > /dev/null; then cuda=(--cuda); fi
stage install check "install" launch/install_dependencies.sh --tests "${cuda[@]}"
if [ "$failed" -gt 0 ]; then finish; fi
stage release check "release: build" build release
if [ "$failed" -gt 0 ]; then finish; fi # there is nothing to test
stage format check "format (clang-format -i mends it)" check_format
stage unit run_ctest release -L '^unit$'
stage mpi run_ctest release -L '^mpi$' -LE '^unit$' # some unit tests start mpirun themselves
stage meta run_ctest release -L '^meta$'
stage other run_ctest release -LE '^(unit|mpi|meta)$' --no-tests=ignore
if ! "$fast"; then
  stage asan sanitize asan '.'
  stage tsan sanitize tsan 'executor|inproc|stream|spawn_ranks'
  stage tidy tidy
fi
finish
