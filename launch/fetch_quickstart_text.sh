#!/bin/sh
# Fetches the quickstart's text (public domain, 8.4 MB) from Debian packages: the King James Bible and Jane Austen's six
# novels, one plain text file each. Nothing is installed; root is not needed.
#
# usage: launch/fetch_quickstart_text.sh [DIRECTORY]     (default: data/quickstart)
#
# Idempotent: complete files are left as they are, and files appear only when all of them are complete.
set -eu

out=${1:-data/quickstart}
here=$(cd "$(dirname "$0")" && pwd)
novels="emma mansfieldpark northangerabbey persuasion prideprejudice sensesensibility"

fail() {
  echo "fetch_quickstart_text: $1" >&2
  exit 1
}

size_of() { cat "$@" | wc -c; }

# check_sizes DIR: whether DIR holds the whole text (4.4 MB of Bible, 4.0 MB of novels).
check_sizes() {
  [ -f "$1/bible_kjv.txt" ] || return 1
  set -- "$1" "$(size_of "$1/bible_kjv.txt")" 0
  [ "$2" -ge 4300000 ] && [ "$2" -le 4500000 ] || return 1
  for novel in $novels; do
    [ -s "$1/austen_$novel.txt" ] || return 1
    set -- "$1" "$2" $(($3 + $(size_of "$1/austen_$novel.txt")))
  done
  [ "$3" -ge 3900000 ] && [ "$3" -le 4200000 ]
}

if check_sizes "$out"; then
  echo "$out is complete"
  exit 0
fi

for tool in apt-get dpkg-deb python3 ldd; do
  command -v "$tool" > /dev/null || fail "needs $tool; on another system, put any text files under $out/*.txt"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM HUP
# As root, apt drops its rights to the user _apt, who must be able to write here.
chmod 755 "$work"
mkdir "$work/debs" "$work/tree" "$work/text"
if [ "$(id -u)" = 0 ] && id _apt > /dev/null 2>&1; then
  chown _apt "$work/debs"
fi

# fetch PACKAGE...: downloads the packages and unpacks them into $work/tree.
fetch() {
  (cd "$work/debs" && apt-get -q download "$@") > "$work/apt.log" 2>&1 || {
    grep '^[EW]:' "$work/apt.log" >&2 || true
    fail "cannot download $* (offline, or 'apt-get update' never ran?); put any text files under $out/*.txt instead"
  }
  for deb in "$work"/debs/*.deb; do
    dpkg-deb -x "$deb" "$work/tree"
    rm -f "$deb"
  done
}

fetch r-cran-janeaustenr bible-kjv bible-kjv-text
# The Bible's reader is the only program run; it needs readline, which a small system may lack.
if LC_ALL=C ldd "$work/tree/usr/bin/bible" | grep -q 'not found'; then
  fetch libreadline8 libtinfo6
  for directory in "$work"/tree/lib/*-linux-gnu* "$work"/tree/usr/lib/*-linux-gnu*; do
    LD_LIBRARY_PATH="$directory${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
  done
  export LD_LIBRARY_PATH
fi
"$work/tree/usr/bin/bible" -p "$work/tree/usr/lib" -f 'gen1:1-rev22:21' \
  < /dev/null > "$work/text/bible_kjv.txt" || fail "the bible-kjv package could not print its text"
python3 "$here/quickstart_text.py" "$work/tree/usr/lib/R/site-library/janeaustenr/data" "$work/text" ||
  fail "the novels could not be read from r-cran-janeaustenr"

check_sizes "$work/text" ||
  fail "the text has an unexpected size: $(size_of "$work"/text/*.txt) bytes, expected about 8.4 million"
mkdir -p "$out" || fail "cannot create $out"
for file in "$work"/text/*.txt; do
  name=$(basename "$file")
  cp "$file" "$out/.$name.tmp" || fail "cannot write to $out"
  mv "$out/.$name.tmp" "$out/$name"
done
echo "wrote $(size_of "$out"/*.txt) bytes to $out"
