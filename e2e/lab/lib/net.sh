# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab's network namespace: br0 (cluster), br1 (RDMA fabric) and one veth that lets the host's own clients reach
# the API server, the nodes and the pods. Nothing else on the host is touched: no rules, no forwarding.

net_exec() { nsenter "--net=/run/netns/$LAB_NETNS" "$@"; }

# A lab of another checkout that ended without lab-down leaves an empty namespace behind.
net_take_over() {
	[ -e "/run/netns/$LAB_NETNS" ] && [ ! -e "$LAB_RUN/netns" ] || return 0
	local pids
	pids=$(ip netns pids "$LAB_NETNS" 2>/dev/null | tr '\n' ' ')
	[ -z "$pids" ] ||
		die "another lab runs in network namespace $LAB_NETNS (processes $pids): end it with lab-down first"
	log "removing network namespace $LAB_NETNS of a lab that has ended"
	ip link del "$LAB_HOST_IF" 2>/dev/null || true
	ip netns del "$LAB_NETNS"
}

net_up() {
	net_take_over
	: >"$LAB_RUN/netns"
	[ -e "/run/netns/$LAB_NETNS" ] || ip netns add "$LAB_NETNS"
	ip -n "$LAB_NETNS" link set lo up
	local bridge
	for bridge in br0 br1; do
		# Multicast snooping without a querier drops IPv6 neighbour discovery after a while.
		ip -n "$LAB_NETNS" link add "$bridge" type bridge mcast_snooping 0 forward_delay 0 2>/dev/null || true
		ip -n "$LAB_NETNS" link set "$bridge" up
	done
	ip -n "$LAB_NETNS" addr replace "$LAB_API/24" dev br0
	if ! ip link show "$LAB_HOST_IF" >/dev/null 2>&1; then
		ip link add "$LAB_HOST_IF" type veth peer name host netns "$LAB_NETNS"
	fi
	ip -n "$LAB_NETNS" link set host master br0 up
	ip addr replace "$LAB_HOST_IP/24" dev "$LAB_HOST_IF"
	ip link set "$LAB_HOST_IF" up
	local n
	for n in $(seq "$LAB_MAX_NODE"); do
		ip -n "$LAB_NETNS" route replace "$(node_pod_cidr "$n")" via "$(node_ip "$n")"
		ip route replace "$(node_pod_cidr "$n")" via "$(node_ip "$n")" dev "$LAB_HOST_IF"
	done
}

# net_tap NAME BRIDGE: a tap device for a VM, on the bridge.
net_tap() {
	ip -n "$LAB_NETNS" link show "$1" >/dev/null 2>&1 || ip -n "$LAB_NETNS" tuntap add "$1" mode tap
	ip -n "$LAB_NETNS" link set "$1" master "$2" up
}

# net_link N cluster|fabric up|down: pull or plug one cable of node N.
net_link() {
	local port
	case $2 in cluster) port=0 ;; fabric) port=1 ;; *) die "link: cluster or fabric, not $2" ;; esac
	case $3 in up | down) ;; *) die "link: up or down, not $3" ;; esac
	ip -n "$LAB_NETNS" link set "w$1-$port" "$3"
}

net_down() {
	[ -e "$LAB_RUN/netns" ] || return 0
	ip link del "$LAB_HOST_IF" 2>/dev/null || true
	ip netns del "$LAB_NETNS" 2>/dev/null || true
	rm -f "$LAB_RUN/netns"
}
