#!/bin/bash
# No two types of one name: all of them live in namespace weft, and a program that has two of a name runs the destructor of one on
# objects of the other, without a word from compiler or linker. Types of a source alone belong in an unnamed namespace.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "one_definition_test: $*" >&2
  exit 1
}

# twice ROOT: every name of a type that is defined twice under ROOT at the level of a namespace with a name, and where.
twice() {
  (
    cd "$1" || exit
    find . \( -name build -o -name .git \) -prune -o \( -name '*.h' -o -name '*.cc' -o -name '*.cu' \) -print | sort |
      xargs awk '
        FNR == 1 { unnamed = 0 }
        /^namespace \{/ { unnamed = 1 }
        /^\}  \/\/ namespace$/ { unnamed = 0 }
        !unnamed && /^(class|struct|enum class|union) [A-Za-z0-9_]+( final)?( :[^:].*)?( \{|$)/ {
          print ($1 == "enum") ? $3 : $2, FILENAME
        }' |
      awk '
        { places[$1] = places[$1] " " $2; count[$1]++ }
        END { for (name in count) if (count[name] > 1) print name ":" places[name] }'
  )
}

mkdir -p "$work/tree/a" "$work/tree/b"
cat > "$work/tree/a/x.h" << 'EOF'
namespace weft {
class Known;
class Twice final : public Base {
};
}  // namespace weft
EOF
cat > "$work/tree/b/y.cc" << 'EOF'
namespace weft {
namespace {
struct Twice {
};
}  // namespace
struct Known {
};
}  // namespace weft
EOF
[ -z "$(twice "$work/tree")" ] || fail "the search takes for two what is one: $(twice "$work/tree")"
sed 's/^namespace {$//; s/^}  \/\/ namespace$//' "$work/tree/b/y.cc" > "$work/tree/b/z.cc"
[ "$(twice "$work/tree" | wc -l)" = 2 ] || fail "the search does not find what is there twice"
found=$(twice .)
[ -z "$found" ] || fail "give them names of their own:
$found"
