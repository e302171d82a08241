# Sourced by the scripts of this folder: what everything on this machine that belongs to an emulated cluster is called.
# There is at most one cluster, and its names are all the state there is.
#
#   weft-n0r1       network namespace (and host name) of rank 1 of node 0, with the address 10.77.0.2
#   weft-switch     namespace of the bridges: node0, node1, ... and core between them
prefix=weft-
switch=${prefix}switch
network=10.77.0.0/24

say() { echo "$(basename "$0"): $*" >&2; }

die() {
  say "$@"
  exit 1
}

need_root() {
  [ "$(id -u)" = 0 ] || die "needs root: network namespaces and traffic shaping are the kernel's"
  command -v ip > /dev/null && command -v tc > /dev/null || die "needs ip and tc: apt-get install iproute2"
}

# The namespaces of the ranks that are up, in the order of the ranks.
rank_namespaces() { ip netns list | awk '{ print $1 }' | grep -E "^${prefix}n[0-9]+r[0-9]+\$" | sort -V || true; }
