#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Run the driver's tests on this machine: two namespaces joined by a veth pair,
# a device in each. Needs root, perftest, rdma-core, nft and the module loaded
# (or its path as second argument: it is loaded in place of the one that is).
# ONLY, a regular expression, picks checks by name, and the programs `matrix`, `programs`, `malformed` and `protocol`.
# The last line is `N passed, N failed`, or says why nothing ran: `skipped: ...`.
# usage: run.sh [BIN [MODULE]]
#   BIN  directory with the programs; default: where this file is
set -u

bin=$(cd "${1:-$(dirname "$0")}" && pwd)
module=${2:-}
only=${ONLY:-}
passed=0
failed=0
log=$(mktemp)
trap 'cleanup; rm -f "$log"' EXIT

ok() { echo "ok - $1"; passed=$((passed + 1)); }
not_ok() { echo "not ok - $1"; sed 's/^/    /' "$log" | tail -n 12; failed=$((failed + 1)); }
# check NAME COMMAND...: it succeeds
check() {
	local name=$1
	shift
	[[ $name =~ $only ]] || return 0
	if "$@" > "$log" 2>&1; then ok "$name"; else not_ok "$name"; fi
}
# check_and_show NAME COMMAND...: the same, and print the RNR timers of the output
check_and_show() {
	check "$@"
	[[ $1 =~ $only ]] && sed -n '/RNR timer/s/^/    /p' "$log"
	return 0
}

in_a() { ip netns exec sl_a "$@"; }
in_b() { ip netns exec sl_b "$@"; }

cleanup() {
	ip netns del sl_a 2> /dev/null
	ip netns del sl_b 2> /dev/null
	return 0
}

setup() {
	cleanup
	if [ -n "$module" ]; then
		modprobe -a ib_uverbs udp_tunnel ip6_udp_tunnel rdma_ucm || return 1
		rmmod rdma_rxe 2> /dev/null
		insmod "$module" || return 1
	fi
	rdma system show | grep -q 'netns exclusive' || {
		echo "run.sh: needs 'rdma system set netns exclusive'" >&2
		return 1
	}
	ip netns add sl_a && ip netns add sl_b || return 1
	ip link add sl_a netns sl_a type veth peer name sl_b netns sl_b || return 1
	local n
	for n in a b; do
		ip -n sl_$n link set lo up
		ip netns exec sl_$n sysctl -qw net.ipv6.conf.sl_$n.accept_dad=0
		ip -n sl_$n link set sl_$n mtu 4500 up
	done
	ip -n sl_a addr add 10.99.0.1/24 dev sl_a
	ip -n sl_b addr add 10.99.0.2/24 dev sl_b
	ip -n sl_a addr add fd99::1/64 dev sl_a nodad
	ip -n sl_b addr add fd99::2/64 dev sl_b nodad
	in_a rdma link add sl_rxe_a type rxe netdev sl_a
	in_b rdma link add sl_rxe_b type rxe netdev sl_b
}

# namespaces
created_in_namespace() {
	in_a rdma link show sl_rxe_a/1 && ! rdma link show sl_rxe_a/1 2> /dev/null &&
		! in_b rdma link show sl_rxe_a/1 2> /dev/null
}
sockets_in_namespace() {
	in_a ss -lnu | grep -q ':4791' && ! ss -lnu | grep ':4791'
}
moved_by_nldev() {
	ip link add sl_c type veth peer name sl_d && ip link set sl_c up &&
		rdma link add sl_rxe_c type rxe netdev sl_c &&
		rdma dev set sl_rxe_c netns sl_a && in_a rdma dev show sl_rxe_c &&
		ip link del sl_c
}
# everything goes away with the namespace, though a process has a context
namespace_goes_away() {
	local before pid
	before=$(rdma link | wc -l)
	ip netns add sl_e && ip link add sl_e netns sl_e type dummy &&
		ip -n sl_e addr add 10.98.0.1/24 dev sl_e && ip -n sl_e link set sl_e up &&
		ip netns exec sl_e rdma link add sl_rxe_e type rxe netdev sl_e || return 1
	ip netns exec sl_e "$bin/live" sl_e sl_rxe_e sl_e sl_rxe_e 100 0 &
	pid=$!
	sleep 1
	ip -n sl_e link del sl_e
	wait $pid
	ip netns del sl_e
	sleep 1
	[ "$(rdma link | wc -l)" = "$before" ] && ! in_a ss -lnu | grep -q 10.98
}

# perftest, with the server held in mid-run: its peer is as the distribution made it
# With events where the tool has them: beside one that polls, the threads of a node with one CPU may get no turn for minutes.
# perf TOOL HOLD_TIMER CLIENT_ARGS...
perf() {
	local tool=$1 timer=$2 server client srv cli
	shift 2
	server=$(mktemp) client=$(mktemp)
	in_a "$tool" -d sl_rxe_a -F "$@" > "$server" 2>&1 &
	srv=$!
	sleep 2
	in_b "$tool" -d sl_rxe_b -F "$@" 10.99.0.1 > "$client" 2>&1 &
	cli=$!
	sleep 2
	in_a "$bin/hold" sl_rxe_a hold "$timer" && sleep 3 && in_a "$bin/hold" sl_rxe_a resume ||
		{ kill $srv $cli; return 1; }
	wait $cli; cli=$?
	wait $srv; srv=$?
	cat "$client" "$server"
	rm -f "$client" "$server"
	[ $cli = 0 ] && [ $srv = 0 ]
}

# a filter that drops what a queue pair sends is no reason for an error
survives_filter() {
	"$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 1500 0 &
	local pid=$!
	sleep 2
	in_a nft add table inet sl '{ chain out { type filter hook output priority 0; udp dport 4791 drop; }; }' ||
		return 1
	sleep 1
	in_a nft delete table inet sl
	wait $pid
}

# nor is a route that is gone for a while, or the address
survives_lost_route() {
	"$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 1500 0 &
	local pid=$!
	sleep 2
	ip -n sl_a route del 10.99.0.0/24 dev sl_a || return 1
	sleep 1
	ip -n sl_a route add 10.99.0.0/24 dev sl_a src 10.99.0.1
	wait $pid
}

# and a datagram is lost then
datagrams() { "$bin/datagrams" sl_a sl_rxe_a sl_b sl_rxe_b "$@"; }
datagrams_survive() {
	datagrams 12 &
	local pid=$!
	sleep 2
	in_a nft add table inet sl '{ chain out { type filter hook output priority 0; udp dport 4791 drop; }; }' ||
		return 1
	sleep 0.1
	in_a nft delete table inet sl
	sleep 0.5
	ip -n sl_a route del 10.99.0.0/24 dev sl_a || return 1
	sleep 0.1
	ip -n sl_a route add 10.99.0.0/24 dev sl_a src 10.99.0.1
	wait $pid
}

# A user namespace of its own gives nobody power over a device that it was given.
pod_may_not_hold() {
	local pid rc
	unshare --user --map-root-user --net --mount sleep 60 &
	pid=$!
	sleep 1
	mkdir -p /run/netns && : > /run/netns/sl_u && mount --bind /proc/$pid/ns/net /run/netns/sl_u || return 1
	ip link add sl_u netns sl_u type dummy && ip -n sl_u link set sl_u up &&
		ip netns exec sl_u rdma link add sl_rxe_u type rxe netdev sl_u || return 1
	nsenter --target $pid --user --net --mount --preserve-credentials sh -c \
		"mount -t sysfs sysfs /sys && $bin/hold sl_rxe_u query && $bin/hold sl_rxe_u hold"
	rc=$?
	ip netns exec sl_u "$bin/hold" sl_rxe_u hold && ip netns exec sl_u "$bin/hold" sl_rxe_u resume || rc=0
	kill $pid
	umount /run/netns/sl_u
	rm -f /run/netns/sl_u
	[ $rc = 1 ] && grep -q 'Operation not permitted' "$log"
}

# within TENTHS COMMAND...: until it succeeds
within() {
	local tries=$1
	shift
	until "$@"; do
		[ $((tries = tries - 1)) -gt 0 ] || return 1
		sleep 0.1
	done
}
packets_wait() { in_a ip neigh show to 10.99.0.2 | grep INCOMPLETE; }
live_is_gone() { ! pgrep -x live > /dev/null; }

# A silent neighbour keeps packets waiting, and the retransmit timer makes more of them.
destroyed_at_once() {
	LIVE_RETRY_CNT=7 "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 1000000 0 &
	local pid=$! waits=0 gone=0
	sleep 2
	ip -n sl_b link set sl_b arp off
	ip -n sl_a neigh flush dev sl_a
	within 30 packets_wait && waits=1
	pkill -KILL -x live
	within 15 live_is_gone && gone=1
	wait $pid
	ip -n sl_b link set sl_b arp on
	ip -n sl_a neigh flush dev sl_a
	echo "packets waited: $waits; gone within 1.5 s: $gone"
	[ $waits$gone = 11 ]
}

# The program is stopped while its queues are mapped: a fast machine would be done before rmmod is.
rmmod_refused() {
	"$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 3000 0 > /dev/null &
	local pid=$! refused=0 tries=200
	until in_a rdma res show qp 2> /dev/null | grep -q 'comm live'; do
		sleep 0.02
		[ $((tries = tries - 1)) -gt 0 ] || { wait $pid; return 1; }
	done
	kill -STOP $pid || return 1
	rmmod rdma_rxe 2> /dev/null || refused=1
	kill -CONT $pid
	wait $pid && [ $refused = 1 ]
}

# A method fails once where its point is armed, and what was begun can be done again.
faults=/sys/module/rdma_rxe/parameters/fault
armed() { [ -n "$(cat $faults)" ]; }
fails_once() {
	local point=$1
	shift
	echo "$point" > $faults || return 1
	if ! "$@" && ! armed && "$@"; then return 0; fi
	echo > $faults
	return 1
}
hold_fails_once() {
	local when
	for when in before after; do
		fails_once hold.$when in_a "$bin/hold" sl_rxe_a hold || return 1
		fails_once resume.$when in_a "$bin/hold" sl_rxe_a resume || return 1
		fails_once adopt.$when in_a "$bin/hold" sl_rxe_a adopt || return 1
	done
}
# A restore that fails ends the program, which leaves its device held. Only datagrams have address handles.
restore() { # restore METHOD
	local rc
	case $1 in
	*_ah) datagrams 1 1 ;;
	*) LIVE_SRQ=1 "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 200 1 1 ;;
	esac
	rc=$?
	in_a "$bin/hold" sl_rxe_a resume && in_b "$bin/hold" sl_rxe_b resume && return $rc
}
restore_fails_once() {
	local method when
	for method in dump_context dump_cq dump_srq dump_ah dump_mr dump_qp hint restore_cq restore_srq restore_ah restore_qp dump_events restore_events; do
		for when in before after; do
			fails_once $method.$when restore $method || { echo "at $method.$when"; return 1; }
		done
	done
}
# Nothing is armed by a list with one wrong name in it.
unknown_point() {
	! echo hold.before,hold.between 2> /dev/null > $faults && ! armed &&
		echo hold.before,resume.after > $faults && [ "$(cat $faults)" = hold.before,resume.after ] &&
		echo > $faults && ! armed
}

# counted PROGRAM COMMAND...: it counts for itself, with a line for each case, and says why one is wrong
counted() {
	local out
	out=$(mktemp)
	"${@:2}" > "$out" 2> "$log"
	local rc=$?
	passed=$((passed + $(grep -c '^ok ' "$out")))
	failed=$((failed + $(grep -c '^not ok ' "$out")))
	grep "^not ok \|^$1: " "$out"
	echo "$1: $(grep -c '^ok ' "$out") passed, $(tail -n 1 "$out")"
	rm -f "$out"
	[ $rc -le 1 ] && ! [ -s "$log" ]
}
cases() { counted "$1" in_a "$bin/$1" "${@:2}"; }
# It enters the namespaces itself.
apart() { counted "$1" "$bin/$1" "${@:2}"; }

# Not every kernel has what is to be tested.
skipped() { echo "skipped: driver tests: $1"; exit 0; }
[ "$(id -u)" = 0 ] || skipped 'not root'
[ -n "$module" ] || [ -d /sys/module/rdma_rxe ] || skipped 'rdma_rxe is not loaded on this kernel'
for tool in rdma ip nft ib_write_bw; do
	command -v $tool > /dev/null || skipped "$tool is not installed"
done

dmesg -C
setup || { echo "0 passed, 1 failed"; exit 1; }

check 'a device is created in the namespace of its netdev' created_in_namespace
check 'packets are received in the namespace only' sockets_in_namespace
check 'a device can be moved to another namespace' moved_by_nldev
check 'a namespace takes its device along' namespace_goes_away

check 'traffic, nothing held' "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 500 0
check 'traffic, one end restored 20 times' "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 2000 20 1
check 'traffic, both ends restored 10 times' "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 2000 10 2 10
check 'traffic over IPv6, one end restored 6 times' env LIVE_IPV6=1 "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 800 6 3
check 'traffic with shared receive queues, one end restored 20 times' env LIVE_SRQ=1 "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 2000 20 1
check 'traffic with shared receive queues, both ends restored 10 times' env LIVE_SRQ=1 "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 2000 10 2 10
# what was answered before the hold, and forgotten by it, is repeated without counting
check 'traffic without any retry, one end restored 40 times' env LIVE_RETRY_CNT=0 "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 2000 60 1
restart() { "$bin/restart" sl_a sl_rxe_a sl_b sl_rxe_b "$@"; }
check_and_show 'traffic goes on at once after a hold, RNR timer 10 ms' restart 20 1500
check_and_show 'traffic goes on at once after a restore, RNR timer 10 ms' restart 20 1500 1
check_and_show 'traffic goes on after a hold, RNR timer 41 ms' restart 24 1500
check_and_show 'traffic goes on after a hold, RNR timer 655 ms' restart 0 2500
check_and_show 'traffic over IPv6 goes on at once after a restore' env LIVE_IPV6=1 "$bin/restart" sl_a sl_rxe_a sl_b sl_rxe_b 20 1500 1

retries() { "$bin/retries" sl_a sl_rxe_a sl_b sl_rxe_b "$@"; }
# each rnr_retry and retry_cnt, by RNR NAKs and by silence
check_and_show 'peers with a retry limit outlast a hold, timeout 1.07 s' retries 18 2500
check_and_show 'peers with a retry limit outlast a hold, timeout 537 ms' retries 17 1400
check_and_show 'peers with a retry limit outlast a hold, timeout 67 ms' retries 14 900

check 'datagrams, one end restored 20 times' datagrams 20 1
check 'datagrams with a shared receive queue, one end restored 10 times' env LIVE_SRQ=1 "$bin/datagrams" sl_a sl_rxe_a sl_b sl_rxe_b 10 2
check 'datagrams over IPv6, one end restored 10 times' env LIVE_IPV6=1 "$bin/datagrams" sl_a sl_rxe_a sl_b sl_rxe_b 10 3
check 'a filter and a lost route harm no datagrams but those they drop' datagrams_survive
check 'ping-pong loses no datagram, both ends restored 20 times' "$bin/pingpong" sl_a sl_rxe_a sl_b sl_rxe_b 20 1
check 'ping-pong with shared receive queues, both ends restored 10 times' env LIVE_SRQ=1 "$bin/pingpong" sl_a sl_rxe_a sl_b sl_rxe_b 10 2

# IPv6 alone, and its link-local addresses: the GID table has no IPv4, and other indexes
without_ipv4() {
	local rc
	ip -n sl_a addr del 10.99.0.1/24 dev sl_a && ip -n sl_b addr del 10.99.0.2/24 dev sl_b && sleep 0.5 || return 1
	"$@"
	rc=$?
	ip -n sl_a addr add 10.99.0.1/24 dev sl_a && ip -n sl_b addr add 10.99.0.2/24 dev sl_b && return $rc
}
check 'traffic on a fabric without IPv4, both ends restored 6 times' without_ipv4 env LIVE_IPV6=1 "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 800 6 2 10
check 'datagrams on a fabric without IPv4, one end restored 6 times' without_ipv4 env LIVE_IPV6=1 "$bin/datagrams" sl_a sl_rxe_a sl_b sl_rxe_b 6 3
check 'traffic between link-local addresses alone, one end restored 6 times' without_ipv4 env LIVE_IPV6=link-local "$bin/live" sl_a sl_rxe_a sl_b sl_rxe_b 800 6 3
check 'datagrams between link-local addresses, one end restored 6 times' env LIVE_IPV6=link-local "$bin/datagrams" sl_a sl_rxe_a sl_b sl_rxe_b 6 3

check 'a filter that drops packets harms no queue pair' survives_filter
check 'a route that is lost for a while harms no queue pair' survives_lost_route
check 'a pod with a user namespace of its own may not hold' pod_may_not_hold
check 'a queue pair is destroyed at once, though its packets wait' destroyed_at_once
check 'the module stays while a queue is mapped' rmmod_refused
check 'interfaces, namespaces and devices come and go under traffic' bash "$bin/churn.sh" "$bin" 8 "${SEED:-1}"

check 'a fault point of hold, resume and adopt fails once' hold_fails_once
check 'a fault point of each method of a restore fails once' restore_fails_once
check 'fault points are armed by their names only' unknown_point

check "ib_write_bw, server held 3 s" perf ib_write_bw 20 -s 4096 -n 20000
for tool in ib_read_bw ib_send_bw; do
	check "$tool, server held 3 s" perf $tool 20 -e -s 4096 -n 20000
done
check "ib_atomic_bw, server held 3 s" perf ib_atomic_bw 20 -e -n 20000
check "ib_write_bw, 8 QPs of 64 KiB, server held 3 s" perf ib_write_bw 14 -q 8 -s 65536 -n 300

# picked NAME: unless ONLY picks others
picked() { [[ $1 =~ $only ]]; }
# cases_of PROGRAM ARGS...
cases_of() {
	picked "$1" || return 0
	cases "$@" || { echo "not ok - $1"; failed=$((failed + 1)); }
}
# docs/driver-matrix.md is what a right run writes; PROGRAMS and SEED: how many random programmes, and the first one's seed
if picked matrix; then
	table=$(mktemp)
	apart matrix sl_a sl_rxe_a sl_b sl_rxe_b "$table" || not_ok 'matrix'
	check 'docs/driver-matrix.md is what the matrix has written' diff "$bin/driver-matrix.md" "$table"
	rm -f "$table"
fi
if picked programs; then
	apart programs sl_a sl_rxe_a sl_b sl_rxe_b "${PROGRAMS:-40}" "${SEED:-1}" || not_ok 'programs'
fi
cases_of malformed sl_rxe_a 2000
cases_of protocol sl_rxe_a 10.99.0.1 sl_b sl_b 10.99.0.2

dmesg > "$log"
if grep -E 'BUG|WARNING|Oops|general protection|unable to handle|refcount|list_(add|del) corruption|RIP:' "$log"; then
	not_ok 'the kernel log is clean'
else
	ok 'the kernel log is clean'
fi

echo "$passed passed, $failed failed"
[ $failed = 0 ]
