#!/bin/bash
# Makes this machine look like a cluster: one network namespace a rank, a bridge a node, a bridge between the nodes, and
# every link held to a rate by the kernel (tc tbf), in both directions. bench/cluster/mpirun.sh runs jobs on it,
# bench/cluster/down.sh takes it away. Needs root. A cluster that is up already is taken down first.
#
# usage: bench/cluster/up.sh --nodes N --ranks-per-node N --intra RATE --inter RATE [--delay TIME]
#   --intra RATE      of the port of every rank, as tc has it: 2gbit, 500mbit
#   --inter RATE      of the link between a node and the others, shared by the node's ranks
#   --delay TIME      one way between two nodes, on top of what the links take: 200us, 1ms; none unless given
#
# DELAY_SWITCH=PATH   what delays; build/release/bin/delay_switch unless set
#
# Leaves nothing behind when it fails.
set -euo pipefail
source "$(dirname "$0")/names.sh"

usage() {
  say "$@"
  sed -n '6,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

# number NAME VALUE LOWEST HIGHEST
number() {
  [[ "$2" =~ ^[1-9][0-9]{0,3}$ ]] && [ "$2" -ge "$3" ] && [ "$2" -le "$4" ] ||
    usage "$1 '$2' must be a whole number from $3 to $4"
}

# bits_per_second NAME RATE: RATE in bits per second.
bits_per_second() {
  local rate=${2,,} unit=1
  case "$rate" in
    *kbit) unit=1000 ;;
    *mbit) unit=1000000 ;;
    *gbit) unit=1000000000 ;;
  esac
  rate=${rate%[kmg]bit}
  [[ "$rate" =~ ^[0-9]+(\.[0-9]+)?$ ]] && [ $unit -gt 1 ] ||
    usage "$1 '$2' must be a rate such as 500mbit or 2gbit"
  awk -v rate="$rate" -v unit=$unit 'BEGIN { printf "%.0f", rate * unit }'
}

# microseconds NAME TIME: TIME in microseconds.
microseconds() {
  local time=${2,,} unit=1
  [[ "$time" =~ ^[0-9]{1,6}(us|ms)$ ]] || usage "$1 '$2' must be a time such as 200us or 1ms"
  [[ "$time" != *ms ]] || unit=1000
  time=$((10#${time%[um]s} * unit))
  [ $time -le 100000 ] || usage "$1 '$2' must be at most 100ms"
  echo $time
}

nodes='' ranks_per_node='' intra='' inter='' delay=''
while [ $# -gt 0 ]; do
  case "$1" in
    --nodes | --ranks-per-node | --intra | --inter | --delay)
      [ $# -ge 2 ] || usage "$1 needs a value"
      name=${1#--}
      declare "${name//-/_}=$2"
      shift 2
      ;;
    *) usage "unknown argument '$1'" ;;
  esac
done
for name in nodes ranks_per_node intra inter; do [ -n "${!name}" ] || usage "--${name//_/-} is missing"; done
number --nodes "$nodes" 1 64
number --ranks-per-node "$ranks_per_node" 1 64
[ $((nodes * ranks_per_node)) -le 254 ] || usage "$nodes x $ranks_per_node ranks do not fit into $network"
intra_bits=$(bits_per_second --intra "$intra")
inter_bits=$(bits_per_second --inter "$inter")
delay_us=0
[ -z "$delay" ] || delay_us=$(microseconds --delay "$delay")
need_root

here=$(dirname "$0")
delay_switch=${DELAY_SWITCH:-$here/../../build/release/bin/delay_switch}
[ -z "$delay" ] || [ -x "$delay_switch" ] ||
  die "$delay_switch is not there; build it first: cmake --build --preset release --target delay_switch"
"$here/down.sh"
trap '[ $? = 0 ] || { say "failed: taking down what was made"; "$here/down.sh"; }' EXIT

# TCP hands the kernel packets of up to 64 KiB. A bucket smaller than one packet would have them cut to frames, at ten times
# the processor time; a larger bucket lets the first 64 KiB after a pause pass for nothing. Packets of 16 KiB do neither:
# from 32 KiB on a transfer takes latency + size / rate.
packet=16384

# What a connection may have under way: two milliseconds of a link, which is many times what rate and latency of these links need. The
# kernel's default are megabytes, which wait in the queues of slow links for longer than TCP waits before it sends again.
window=$(((intra_bits > inter_bits ? inter_bits : intra_bits) / 8 / 500))
[ $window -ge 131072 ] || window=131072
# And what is on its way, there and back.
window=$((window + (intra_bits > inter_bits ? inter_bits : intra_bits) / 8 * delay_us * 2 / 1000000))

# shape NAMESPACE DEVICE BITS_PER_SECOND: what leaves DEVICE goes at that rate. The bucket holds a packet, and what the
# kernel's timer needs; the queue holds what several TCP connections have under way, so that nothing is lost.
shape() {
  local bucket=$(($3 / 8 * 160 / 1000000))
  [ $bucket -ge $((packet + 4096)) ] || bucket=$((packet + 4096))
  tc -n "$1" qdisc replace dev "$2" root tbf rate "${3}bit" burst $bucket limit 16mb
}

# link NAMESPACE DEVICE NAMESPACE DEVICE BITS_PER_SECOND: a cable, shaped at both ends.
link() {
  ip link add "$2" netns "$1" type veth peer name "$4" netns "$3"
  shape "$1" "$2" "$5"
  shape "$3" "$4" "$5"
}

bridge() {
  ip -n $switch link add "$1" type bridge forward_delay 0 stp_state 0 mcast_snooping 0
  ip -n $switch link set "$1" up
}

# plug BRIDGE PORT
plug() { ip -n $switch link set "$2" master "$1" up; }

ip netns add $switch
ip -n $switch link set lo up
[ -n "$delay" ] || bridge core
rank=0
for ((node = 0; node < nodes; ++node)); do
  bridge "node$node"
  link $switch "up$node" $switch "down$node" "$inter_bits"
  plug "node$node" "up$node"
  if [ -n "$delay" ]; then
    ip -n $switch link set "down$node" addrgenmode none up
  else
    plug core "down$node"
  fi
  for ((local = 0; local < ranks_per_node; ++local)); do
    name=${prefix}n${node}r$local
    ip netns add "$name"
    ip -n "$name" link set lo up
    link "$name" eth0 $switch "n${node}r$local" "$intra_bits"
    plug "node$node" "n${node}r$local"
    ip -n "$name" addr add "${network%.*}.$((++rank))/${network#*/}" dev eth0
    ip -n "$name" link set eth0 gso_max_size $packet up
    ip netns exec "$name" sysctl -qw "net.ipv4.tcp_rmem=4096 $window $window" "net.ipv4.tcp_wmem=4096 $window $window" \
      net.ipv4.tcp_limit_output_bytes=$window
  done
done

# In place of the core bridge. In the namespace of the bridges: bench/cluster/down.sh finds it there.
[ -z "$delay" ] || nsenter --net=/run/netns/$switch "$delay_switch" "$delay_us" $(seq -f 'down%g' 0 $((nodes - 1)))

say "$nodes nodes of $ranks_per_node ranks: $intra a rank, $inter between nodes${delay:+, a delay of $delay there}"
