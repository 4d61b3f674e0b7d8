#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Compare two builds of the driver, the distribution's and this one: the same random programmes of verbs on each (transcript.c), and
# what comes of them. It replaces the loaded module: not on a node that is in use.
# Both devices are in this namespace, at the two ends of a veth pair: the distribution's driver knows no other namespace.
# The last line is `N passed, N failed`, a line for each programme; what differs is printed.
# usage: stock.sh BIN STOCK_MODULE MODULE [NUMBER [SEED]]
set -u

[ $# -ge 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
bin=$(cd "$1" && pwd)
modules=("$2" "$3")
number=${4:-60}
seed=${5:-1}
work=$(mktemp -d)
trap 'down; rm -rf "$work"' EXIT

# Packets to the other end go over the wire, though both addresses are this machine's own: only what has the traffic class of the
# programmes (transcript.c) is for this machine, and the driver looks its routes up without one.
class=0x08

down() {
	ip link del sl_a 2> /dev/null
	rmmod rdma_rxe 2> /dev/null
	return 0
}

mac_of() { cat "/sys/class/net/$1/address"; }

# ends OWN PEER OWN_ADDRESS PEER_ADDRESS
ends() {
	sysctl -qw "net.ipv4.conf.$1.accept_local=1" "net.ipv4.conf.$1.rp_filter=0"
	ip addr add "$3/32" dev "$1" && ip route del local "$3" dev "$1" table local &&
		ip route add local "$3" dev "$1" tos $class table local &&
		ip route add "$4" dev "$1" && ip neigh add "$4" lladdr "$(mac_of "$2")" dev "$1" nud permanent
}

# up MODULE
up() {
	down
	modprobe -a ib_uverbs udp_tunnel ip6_udp_tunnel && insmod "$1" || return 1
	ip link add sl_a type veth peer name sl_b || return 1
	local n
	for n in a b; do
		ip link set sl_$n mtu 4500 up
	done
	sysctl -qw net.ipv4.conf.all.rp_filter=0
	ends sl_a sl_b 10.99.0.1 10.99.0.2 && ends sl_b sl_a 10.99.0.2 10.99.0.1 || return 1
	rdma link add sl_rxe_a type rxe netdev sl_a && rdma link add sl_rxe_b type rxe netdev sl_b
}

for nth in 0 1; do
	up "${modules[nth]}" || { echo "stock.sh: ${modules[nth]} does not work here" >&2; exit 1; }
	"$bin/transcript" sl_rxe_a sl_rxe_b "$number" "$seed" > "$work/$nth" 2>&1
	grep -c '^programme .* ends with status 0$' "$work/$nth" > "$work/$nth.whole"
	down
done

passed=0
failed=0
for ((n = seed; n < seed + number; n++)); do
	for nth in 0 1; do
		sed -n "/^programme $n\$/,/^programme $n ends/p" "$work/$nth" > "$work/$nth.one"
	done
	if diff -U 6 --label stock "$work/0.one" --label patched "$work/1.one" > "$work/diff"; then
		echo "ok - programme $n"
		passed=$((passed + 1))
	else
		echo "not ok - programme $n"
		sed 's/^/    /' "$work/diff"
		failed=$((failed + 1))
	fi
done
echo "# $(grep -c ': posts [0-9]' "$work/0") requests, $(grep -c ': send [0-9]' "$work/0") completions; programmes that ended well: $(cat "$work/0.whole") with the distribution's driver, $(cat "$work/1.whole") with this one"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
