# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Where Docker runs the nodes: on this machine, if its kernel can take the driver, else in the VM.

# engine: `docker` or `vm`. KIND_ENGINE overrides the choice.
engine() {
	if [ -n "${KIND_ENGINE:-}" ]; then
		echo "$KIND_ENGINE"
	elif [ -s "$KIND/engine" ]; then
		cat "$KIND/engine"
	elif [ -d "/sys/module/ib_core" ] && docker info >/dev/null 2>&1; then
		echo docker
	else
		echo vm
	fi
}

# engine_run COMMAND...: where Docker is. Standard input goes through.
engine_run() {
	case $(engine) in
	docker) "$@" ;;
	vm) node_ssh 1 "$(printf '%q ' "$@")" ;;
	esac
}

# engine_node_pid NODE: process id of a node's init, where Docker is. The Docker command takes an emulated CPU seconds to
# start, so the VM keeps the ids of a boot of its nodes.
engine_node_pid() {
	engine_run sh -c '
		node=$1 memo=/run/sealift-kind/$1
		pid=
		[ ! -r "$memo" ] || read -r pid start <"$memo"
		if [ -z "$pid" ] || [ "$(cut -d" " -f22 "/proc/$pid/stat" 2>/dev/null)" != "$start" ]; then
			pid=$(docker inspect -f "{{.State.Pid}}" "$node") && [ "$pid" -gt 0 ] || exit 1
			mkdir -p /run/sealift-kind
			echo "$pid $(cut -d" " -f22 "/proc/$pid/stat")" >"$memo"
		fi
		echo "$pid"' pid "$1" </dev/null
}

# engine_exec NODE LINE: run a shell line on a node as root, in all of the node's namespaces.
engine_exec() {
	local node=$1 line=$2 pid
	pid=$(engine_node_pid "$node") || die "there is no node $node: its names are $KIND_NODES"
	engine_run nsenter -t "$pid" -m -u -i -n -p -C -r -w env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c "$line"
}

# engine_require: what this machine's own engine needs of root, once. The VM has it from its boot.
engine_require() {
	[ "$(engine)" = docker ] || return 0
	local mode module
	docker info >/dev/null 2>&1 || die "Docker does not answer. Start it, or set KIND_ENGINE=vm"
	mode=$(rdma system 2>/dev/null | grep -o 'netns [a-z]*') || true
	module=$CHECKOUT/build/native/modules/$(uname -r)/rdma_rxe.ko
	[ "$mode" = 'netns exclusive' ] && [ -d /sys/module/rdma_rxe ] && return 0
	cat >&2 <<-E
		kind's nodes share this machine's kernel. It needs, once per boot and as root:

		    modprobe -a ib_core ib_uverbs rdma_ucm udp_tunnel ip6_udp_tunnel macvlan
		    rdma system set netns exclusive        # before there is any other network namespace
		    insmod $module

		The module has to be built for this kernel, $(uname -r):
		    native/rxe/build.sh HEADERS LINUX-SOURCE $(dirname "$module")

		To undo it after make kind-down: rmmod rdma_rxe; rdma system set netns shared.
		KIND_ENGINE=vm needs none of it: then kind runs in a VM.
	E
	exit 1
}
