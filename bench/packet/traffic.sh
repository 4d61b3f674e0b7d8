#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs in the virtual machine: messages go to and fro between two queue pairs until someone stops it.
# Both devices are in one namespace, at the two ends of a veth pair: the distribution's driver knows no other one.
# When the messages are under way it writes where the module's sections are to `steady`, and goes on until there is a file `enough`.
# usage: traffic.sh MODULE PROGRAM BYTES [OPTION...]
#   PROGRAM  one of perftest's that measure latency, say ib_send_lat
#   OPTION   more of its options
set -eu

[ $# -ge 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
module=$1 program=$2 bytes=$3
shift 3
options=("$@")

# Packets to the other end go over the wire, though both addresses are this machine's own: only what has the traffic class of the
# programs is for this machine, and the driver looks its routes up without one.
class=0x08
PACKETS=200 # of these the first ones connect, and fill the caches of routes and neighbours

mac_of() { cat "/sys/class/net/$1/address"; }

# ends OWN PEER OWN_ADDRESS PEER_ADDRESS
ends() {
	sysctl -qw "net.ipv4.conf.$1.accept_local=1" "net.ipv4.conf.$1.rp_filter=0"
	ip addr add "$3/32" dev "$1" && ip route del local "$3" dev "$1" table local &&
		ip route add local "$3" dev "$1" tos $class table local &&
		ip route add "$4" dev "$1" && ip neigh add "$4" lladdr "$(mac_of "$2")" dev "$1" nud permanent
}

rm -f steady enough
ip link del sl_a 2>/dev/null || :
rmmod rdma_rxe 2>/dev/null || :
modprobe -a ib_uverbs udp_tunnel ip6_udp_tunnel
insmod "$module"
ip link add sl_a type veth peer name sl_b
for n in a b; do ip link set sl_$n mtu 4500 up; done
sysctl -qw net.ipv4.conf.all.rp_filter=0
ends sl_a sl_b 10.99.0.1 10.99.0.2
ends sl_b sl_a 10.99.0.2 10.99.0.1
for n in a b; do rdma link add sl_rxe_$n type rxe netdev sl_$n; done

run() { "$program" -d "$1" -x 1 -F -s "$bytes" -n 10000000 "${options[@]}" -u 20 --tclass=8 "${@:2}" >"$1.log" 2>&1 & }
run sl_rxe_a
server=$!
until ss -ltn | grep -q ':18515'; do sleep 0.2; kill -0 $server; done
run sl_rxe_b 127.0.0.1
client=$!
until [ "$(cat /sys/class/infiniband/sl_rxe_b/ports/1/hw_counters/sent_pkts)" -ge $PACKETS ]; do
	sleep 0.2
	kill -0 $client || { cat sl_rxe_b.log sl_rxe_a.log; exit 1; }
done
for section in /sys/module/rdma_rxe/sections/.text*; do echo "${section##*/} $(cat "$section")"; done >sections
mv sections steady
until [ -e enough ]; do
	kill -0 $client
	sleep 0.1
done
kill $client $server
wait $client $server || :
