# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Two devices in one namespace, at the two ends of a veth pair, sl_rxe_a and sl_rxe_b: the distribution's driver knows no other
# namespace. For stock.sh, stock_programs.sh and bench/packet/traffic.sh.

# Packets to the other end go over the wire, though both addresses are this machine's own: only what has this traffic class is for
# this machine, and the driver looks its routes up without one.
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
	# The same addresses each time: identifiers and GIDs come of them.
	ip link add sl_a address 02:99:00:00:00:01 type veth peer name sl_b address 02:99:00:00:00:02 || return 1
	local n
	for n in a b; do
		ip link set sl_$n mtu 4500 up
	done
	sysctl -qw net.ipv4.conf.all.rp_filter=0
	ends sl_a sl_b 10.99.0.1 10.99.0.2 && ends sl_b sl_a 10.99.0.2 10.99.0.1 || return 1
	rdma link add sl_rxe_a type rxe netdev sl_a && rdma link add sl_rxe_b type rxe netdev sl_b
}
