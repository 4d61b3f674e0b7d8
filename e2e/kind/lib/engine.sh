# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Where Docker runs the nodes: on this machine, if its kernel can take the driver, else in the VM.

# engine: `docker`, `podman` or `vm`. KIND_ENGINE overrides the choice, which is kept until kind-down.
engine() {
	if [ -n "${KIND_ENGINE:-}" ]; then
		case $KIND_ENGINE in docker | podman | vm) ;; *) die "KIND_ENGINE: docker, podman or vm, not $KIND_ENGINE" ;; esac
		echo "$KIND_ENGINE"
	elif [ -s "$KIND/engine" ]; then
		cat "$KIND/engine"
	elif ! engine_kernel; then
		echo vm
	elif docker info >/dev/null 2>&1; then
		echo docker
	elif podman info >/dev/null 2>&1; then
		echo podman
	else
		echo vm
	fi
}

# The kernels that native/rxe is for.
ENGINE_KERNEL=6.12
# Sealift's driver has the parameter `fault`, the distribution's has not.
ENGINE_DRIVER=/sys/module/rdma_rxe

# engine_kernel_lacks: prints why this machine's kernel cannot take the driver, or nothing: it has the driver, or is one that the
# driver is for, with InfiniBand, and headers to build the module for it.
engine_kernel_lacks() {
	[ ! -e "$ENGINE_DRIVER/parameters/fault" ] || return 0
	local release
	release=$(uname -r)
	case $release in
	"$ENGINE_KERNEL".*) ;;
	*) echo "its kernel is $release, and the driver is for $ENGINE_KERNEL" && return ;;
	esac
	modinfo ib_core >/dev/null 2>&1 || { echo "its kernel $release has no InfiniBand (module ib_core)" && return; }
	[ -d "/lib/modules/$release/build" ] || echo "there are no headers of its kernel $release (/lib/modules/$release/build)"
}
engine_kernel() { [ -z "$(engine_kernel_lacks)" ]; }

# engine_say_vm: why kind does not run on this machine's own engine, where nobody has asked for the VM.
engine_say_vm() {
	[ -z "${KIND_ENGINE:-}" ] && [ ! -e "$KIND/engine" ] && [ "$(engine)" = vm ] || return 0
	local why
	why=$(engine_kernel_lacks)
	log "kind runs in a VM, as on this machine ${why:-neither Docker nor Podman answers}"
}

# engine_program: what takes Docker's command line.
engine_program() { if [ "$(engine)" = podman ]; then echo podman; else echo docker; fi; }

# engine_run COMMAND...: where the engine is. Standard input goes through. `docker` stands for the engine's program.
engine_run() {
	case $(engine) in
	docker) "$@" ;;
	podman)
		[ "$1" != docker ] || set -- podman "${@:2}"
		KIND_EXPERIMENTAL_PROVIDER=podman "$@"
		;;
	vm) node_ssh 1 "$(printf '%q ' "$@")" ;;
	esac
}

# engine_node_pid NODE: process id of a node's init, where Docker is. The Docker command takes an emulated CPU seconds to
# start, so the VM keeps the ids of a boot of its nodes.
engine_node_pid() {
	engine_run sh -c '
		node=$1 memo=/run/sealift-kind/$1 program=$2
		pid=
		[ ! -r "$memo" ] || read -r pid start <"$memo"
		if [ -z "$pid" ] || [ "$(cut -d" " -f22 "/proc/$pid/stat" 2>/dev/null)" != "$start" ]; then
			pid=$("$program" inspect -f "{{.State.Pid}}" "$node") && [ "$pid" -gt 0 ] || exit 1
			mkdir -p /run/sealift-kind
			echo "$pid $(cut -d" " -f22 "/proc/$pid/stat")" >"$memo"
		fi
		echo "$pid"' pid "$1" "$(engine_program)" </dev/null
}

# engine_exec NODE LINE: run a shell line on a node as root, in all of the node's namespaces.
engine_exec() {
	local node=$1 line=$2 pid
	pid=$(engine_node_pid "$node") || die "there is no node $node: its names are $KIND_NODES"
	engine_run nsenter -t "$pid" -m -u -i -n -p -C -r -w env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c "$line"
}

ENGINE_UNDO='rmmod rdma_rxe; modprobe -r rdma_ucm ib_uverbs ib_core'

# engine_require: what this machine's own engine needs of root, once per boot. The VM has it from its boot.
engine_require() {
	[ "$(engine)" != vm ] || return 0
	local mode module
	[ "$(id -u)" = 0 ] || die "a kind cluster on this machine's own engine needs root: its nodes get devices of this machine's kernel. Run make as root, or set KIND_ENGINE=vm on a machine where QEMU may make networks"
	"$(engine_program)" info >/dev/null 2>&1 || die "$(engine_program) does not answer. Start it, or set KIND_ENGINE=vm"
	mode=$(rdma system 2>/dev/null | grep -o 'netns [a-z]*') || true
	module=$CHECKOUT/build/native/modules/$(uname -r)/rdma_rxe.ko
	[ "$mode" = 'netns exclusive' ] && [ -e "$ENGINE_DRIVER/parameters/fault" ] && return 0
	cat >&2 <<-E
		kind's nodes share this machine's kernel. It needs, once per boot and as root:

		    modprobe ib_core netns_mode=0 && modprobe -a ib_uverbs rdma_ucm udp_tunnel ip6_udp_tunnel macvlan
		    insmod $module

		$(! [ -d /sys/module/ib_core ] || [ "$mode" = 'netns exclusive' ] ||
			echo "InfiniBand is loaded with shared network namespaces, which cannot be changed while there is another one: take it out first, with all that uses it (modprobe -r rdma_ucm ib_uverbs ib_core).")
		The module has to be built for this kernel, $(uname -r), from the sources of a kernel $ENGINE_KERNEL (linux-source-$ENGINE_KERNEL on Debian):
		    native/rxe/build.sh /lib/modules/$(uname -r)/build LINUX-SOURCE $(dirname "$module")
		$(! [ -d "$ENGINE_DRIVER" ] || [ -e "$ENGINE_DRIVER/parameters/fault" ] ||
			echo "The rdma_rxe that is loaded is not Sealift's: rmmod rdma_rxe first.")
		To undo it after make kind-down: $ENGINE_UNDO.
		KIND_ENGINE=vm needs none of it: then kind runs in a VM.
	E
	exit 1
}

# engine_say_undo: what root has done for this machine's engine stays until root undoes it.
engine_say_undo() {
	[ ! -e "$ENGINE_DRIVER/parameters/fault" ] ||
		log "the driver is still loaded. To undo what kind-up has asked for, as root: $ENGINE_UNDO"
}
