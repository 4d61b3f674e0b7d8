#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Interfaces, namespaces, devices and processes come and go under traffic, as in moves, while two others go on.
# a and c are two pods of one node, siblings on one interface, b is one of another node: macvlans, or veth pairs where a kernel has none.
# Each round makes c, lets it talk to b, and takes one of the things away that its packets need. Root, with the module loaded.
# usage: churn.sh BIN ROUNDS [SEED]
#   BIN  directory with the programs
set -u

[ $# -ge 2 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
bin=$1 rounds=$2
start=${3:-1}
RANDOM=$start
kinds=0
trap cleanup EXIT

die() { echo "churn: round $round: $1" >&2; exit 1; }

cleanup() {
	local n
	for n in a b c; do ip netns del ch_$n 2> /dev/null; done
	ip link del ch_up 2> /dev/null
	return 0
}

# link NODE: its interface, in its namespace
link() {
	local n=$1
	case $n in
	b) lower=ch_down ;;
	*) lower=ch_up ;;
	esac
	ip link add ch_$n netns ch_$n link $lower type macvlan mode bridge
}

# node NODE LAST: namespace, interface and device, with the address 10.97.0.LAST
node() {
	local n=$1
	ip netns add ch_$n && link $n && ip -n ch_$n link set lo up && ip -n ch_$n link set ch_$n mtu 4200 up &&
		ip -n ch_$n addr add 10.97.0.$2/24 dev ch_$n &&
		ip netns exec ch_$n rdma link add ch_rxe_$n type rxe netdev ch_$n
}

# A kernel without macvlan: c, which goes, has a pair of its own to b.
pairs() {
	ip netns add ch_a && ip netns add ch_b &&
		ip link add ch_a netns ch_a type veth peer name ch_b netns ch_b || return 1
	local n
	for n in a b; do
		ip -n ch_$n link set lo up
		ip -n ch_$n link set ch_$n mtu 4200 up
	done
	ip -n ch_a addr add 10.97.0.1/24 dev ch_a && ip -n ch_b addr add 10.97.0.2/24 dev ch_b
}
pair() {
	ip netns add ch_c && ip link add ch_c netns ch_c type veth peer name ch_d netns ch_b || return 1
	ip -n ch_c link set lo up
	ip -n ch_c link set ch_c mtu 4200 up
	ip -n ch_b link set ch_d mtu 4200 up
	ip -n ch_c addr add 10.96.0.3/24 dev ch_c && ip -n ch_b addr add 10.96.0.2/24 dev ch_d &&
		ip netns exec ch_c rdma link add ch_rxe_c type rxe netdev ch_c &&
		ip netns exec ch_b rdma link add ch_rxe_d type rxe netdev ch_d
}

# To drop what a device sends, as a lock does, and to forget neighbours, as an announcement makes others do.
drops() {
	ip netns exec ch_$1 nft add table inet ch '{ chain out { type filter hook output priority 0; udp dport 4791 drop; }; }'
	sleep 0.1
	ip netns exec ch_$1 nft delete table inet ch
}

# take WHAT PIDS...: from c, while its packets are under way. PIDS are the programs' ends in c.
take() {
	local what=$1
	shift
	case $what in
	0) kill -KILL "$@" ;;
	1) ip -n ch_c link del ch_c ;;
	2) ip -n ch_c link set ch_c down ;;
	3) ip netns del ch_c ;;
	4) ip netns exec ch_c rdma link del ch_rxe_c ;;
	5) ip -n ch_c link set ch_c netns 1 && ip link del ch_c ;;
	6)
		# a move: silent, hidden, gone
		ip netns exec ch_c "$bin/hold" ch_rxe_c hold 14 || return 1
		[ $macvlan = 0 ] || ip -n ch_c link set ch_c type macvlan mode vepa
		kill -KILL "$@"
		ip -n ch_c link del ch_c
		;;
	7)
		drops c
		ip -n ch_c neigh flush dev ch_c
		kill -KILL "$@"
		;;
	esac
}

within() { # within TENTHS COMMAND...: until it succeeds
	local tries=$1
	shift
	until "$@"; do
		[ $((tries -= 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}

round=0
cleanup
macvlan=1
if ip link add ch_up type veth peer name ch_down && ip link add ch_t link ch_up type macvlan 2> /dev/null; then
	ip link del ch_t
	for n in up down; do ip link set ch_$n mtu 4200 up; done
	node a 1 && node b 2 || die 'no interface'
	peer=ch_rxe_b
else
	macvlan=0
	pairs && for n in a b; do ip netns exec ch_$n rdma link add ch_rxe_$n type rxe netdev ch_$n || die 'no device'; done
	peer=ch_rxe_d
fi

while [ $((round += 1)) -le "$rounds" ]; do
	if [ $macvlan = 1 ]; then node c 3; else pair; fi || die 'c does not come back'
	"$bin/live" ch_a ch_rxe_a ch_b ch_rxe_b 200 1 "$round" > /dev/null &
	stays=$!
	pids=()
	for seed in 1 2; do
		# a group of its own: both ends
		setsid "$bin/live" ch_c ch_rxe_c ch_b $peer 1000000 $((seed % 2 * 1000)) "$seed" > /dev/null 2>&1 &
		pids+=($!)
	done
	sleep 0.$((RANDOM % 9 + 1))
	kinds=$((kinds | 1 << (what = (round + start) % 8)))
	take $what "${pids[@]}" || die "kind $what: it does not go"
	[ $macvlan = 0 ] || ip -n ch_a link set ch_a type macvlan mode vepa
	sleep 0.$((RANDOM % 5))
	[ $macvlan = 0 ] || ip -n ch_a link set ch_a type macvlan mode bridge
	for pid in "${pids[@]}"; do kill -KILL -- "-$pid" 2> /dev/null; done
	wait "${pids[@]}" 2> /dev/null
	ip netns del ch_c 2> /dev/null
	[ $macvlan = 1 ] || ip -n ch_b link del ch_d 2> /dev/null
	wait $stays || die "kind $what: the traffic of the others has ended with an error"
	within 100 eval '! pgrep -x live > /dev/null' || die "kind $what: a program does not end"
	within 100 eval '[ "$(ip netns exec ch_b rdma res show qp 2> /dev/null | grep -c "comm live")" = 0 ]' ||
		die "kind $what: a queue pair stays"
done
echo "churn: $rounds rounds, $([ $macvlan = 1 ] && echo macvlan || echo veth), kinds $(printf '%x' $kinds)"
