#!/bin/bash
# Nothing sleeps in place of waiting for what it needs. The one exception is the progress thread of comm/mpi, which has
# to nap between two looks at MPI.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "no_sleep_test: $*" >&2
  exit 1
}

# sleeps ROOT: every call that sleeps in a source under ROOT, every sleep of a script.
sleeps() {
  (
    cd "$1" || exit
    grep -rnE --exclude-dir=build --exclude-dir=.git --include='*.h' --include='*.cc' --include='*.py' \
      '\b(sleep_for|sleep_until|usleep|nanosleep|clock_nanosleep|SleepFor|sleep) *\(' . |
      grep -vE '^\./comm/mpi/mpi_progress\.(h|cc):'
    grep -rnE --exclude-dir=build --exclude-dir=.git --include='*.sh' '(^|[^A-Za-z_-])sleep [0-9.$]' .
  ) || true
}

mkdir -p "$work/tree/comm/mpi" "$work/tree/tests"
nap='sleep'
echo "std::this_thread::${nap}_for(1ms);" > "$work/tree/comm/mpi/mpi_progress.cc" # allowed
echo "absl::${nap^}For (d);" > "$work/tree/tests/a_test.cc"
echo "while true; do ${nap} 1; done" > "$work/tree/tests/b.sh"
[ "$(sleeps "$work/tree" | wc -l)" = 2 ] || fail "the search for sleeps does not find them"
found=$(sleeps .)
[ -z "$found" ] || fail "wait for a condition instead:
$found"
