#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Commands of the kind cluster; see README.md. kind.mk has a make target for most of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# The lab's libraries first: they do the same for a VM, whatever its name, and kind's own then say what is different.
for part in config progress cache proc net debian builder binaries rootfs accel node deps; do
	# shellcheck source=/dev/null
	. "$here/../lab/lib/$part.sh"
done
for part in config binaries image machine engine cluster published vm lane; do
	# shellcheck source=/dev/null
	. "$here/lib/$part.sh"
done

usage() {
	cat >&2 <<-E
		usage: kind.sh COMMAND
		  plan [STEP...]                what \`up\` has to make first, and these steps, with usual times
		  up | down                     start (from a snapshot, if there is one) or end everything
		  image                         make the node image only
		  disk                          make the VM's disk only, with the node image in its Docker
		  env                           shell lines that make kubectl and helm work
		  status                        what runs
		  exec NODE LINE                run a shell line on a node
		  load ARCHIVE [NODE...]        import an image archive on every worker, or on those named
		  link NODE cluster|fabric up|down
		                                pull or plug a cable
		  reset NODE                    reset a node without warning
		  part stop|start NAME          a static pod of the control plane, e.g. kube-apiserver
		  address NODE|api-server       on the cluster's network
		  logs [DIR]                    collect logs (default: \$KIND/logs)
		  version                       kind's version
		  lane                          what \`make test\` runs of kind, or why not
		nodes: $KIND_NODES
	E
	exit 2
}

# One command at a time changes the cluster.
lock() {
	mkdir -p "$LAB_CACHE" "$LAB_RUN"
	exec 9>"$KIND/lock"
	flock -n 9 && return 0
	log "waiting for another command that changes the kind cluster"
	flock 9
}

# with_lab_lock COMMAND...: what is made for lab and kind alike is made by one at a time. Not in a subshell with "|| exit", which
# would switch errexit off in all of the command.
with_lab_lock() {
	exec 8>"$LAB/lock"
	flock -n 8 || { log "waiting for another command that changes the lab" && flock 8; }
	"$@"
	exec 8>&-
}

# shared_up: what lab and kind both use.
shared_up() {
	builder_up
	binaries_up
}

image_up() {
	with_lab_lock shared_up
	kind_binaries_up
	if cluster_image_is_own; then kind_image_up; else kind_tree_up; fi
}

kind_plan() {
	local -a steps=() lacking
	# Here and not after half an hour of building.
	published_require
	engine_require
	cluster_refuse_other
	engine_say_vm
	[ -z "$(deps_missing)" ] || steps+=(deps)
	[ -d "$CHECKOUT/node_modules" ] || steps+=(npm)
	mapfile -t lacking < <(cache_missing image-node image-workloads builder kubernetes etcd runc kind-kind kind-kubernetes \
		kind-containerd kind-crictl kind-coredns kind-multus kind-tree kind-image)
	steps+=("${lacking[@]}")
	if [ "$(engine)" = vm ]; then
		mapfile -t lacking < <(cache_missing kind-machine-tree kind-machine kind-snapshot)
		steps+=("${lacking[@]}")
	fi
	[ ${#steps[@]} -eq 0 ] || steps+=(kind-start)
	[ -f "$CHECKOUT/build/images/agent.tar" ] || steps+=("$@")
	progress_plan "${steps[@]}"
}

# What an earlier kind-up has left unfinished is ended first.
kind_up() {
	lock
	published_require
	engine_require
	cluster_refuse_other
	image_up
	if [ -e "$READY" ] && cluster_runs; then
		log "already up"
		return 0
	fi
	kind_end
	echo "$KIND_IMAGE" >"$KIND/image"
	engine >"$KIND/engine.new"
	mv "$KIND/engine.new" "$KIND/engine"
	case $(engine) in
	docker | podman)
		cluster_note_network
		if cluster_image_is_own; then
			progress_run kind-cluster cluster_create
			progress_run kind-start cluster_furnish
		else
			progress_run kind-cluster published_create
			progress_run kind-start published_furnish
		fi
		;;
	vm)
		machine_up
		net_up
		accel_name >/dev/null
		vm_up
		;;
	esac
	touch "$READY"
	log "ready: $(cluster_kubectl get nodes --no-headers | awk '{printf "%s %s, ", $1, $2}' | sed 's/, $//')"
}

# cluster_runs: the VM, or the control plane's container, is there.
cluster_runs() {
	if [ "$(engine)" = vm ]; then proc_alive w1; else engine_node_pid "$KIND_CONTROL_PLANE" >/dev/null 2>&1; fi
}

# kind_end: end what kind-up has made, on the engine that it was made on.
kind_end() {
	KIND_ENGINE=$(cat "$KIND/engine" 2>/dev/null) cluster_down
	vm_down
	rm -f "$KIND/engine" "$KIND/image" "$KIND/kubeconfig" "$READY"
}

kind_down() {
	lock
	kind_end
	engine_say_undo
}

# kind_env: on standard output what a shell is to run; what it is to know goes beside that.
kind_env() {
	[ -e "$READY" ] || log "no kind cluster is up: make kind-up starts one"
	echo "export KUBECONFIG='$KIND/kubeconfig'"
	echo "case :\$PATH: in *:'$KIND/bin':*) ;; *) export PATH='$KIND/bin':\$PATH ;; esac"
}

kind_status() {
	echo "engine: $(engine)"
	[ "$(engine)" != vm ] || printf '%-24s %s\n' "VM ($(node_ip 1))" "$(proc_pid w1 || echo down)"
	[ ! -e "$KIND/kubeconfig" ] || cluster_kubectl get nodes -o wide
}

kind_logs() {
	local out=${1:-$KIND/logs} node
	mkdir -p "$out"
	cp "$LAB_RUN"/*.log "$LAB_RUN"/*.console "$out/" 2>/dev/null || true
	cluster_kubectl get pods,events,nodes -A -o wide >"$out/objects.txt" 2>&1 || true
	engine_run sh -c 'dmesg; "$1" ps -a; rdma link' logs "$(engine_program)" >"$out/engine.txt" 2>&1 </dev/null || true
	for node in $KIND_NODES; do
		engine_exec "$node" 'journalctl -b --no-pager -o short-precise -n 2000; crictl ps -a; ip addr; ip route' >"$out/$node.txt" 2>&1 </dev/null || true
	done
	log "logs are in $out"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
plan) kind_plan "$@" ;;
up) kind_up ;;
down) kind_down ;;
image) lock; image_up ;;
disk) lock; image_up; machine_up ;;
env) kind_env ;;
status) kind_status ;;
exec) [ $# -eq 2 ] || usage; engine_exec "$@" ;;
load) [ $# -ge 1 ] || usage; archive=$(realpath "$1"); shift; cluster_load "$archive" "$@" ;;
link) [ $# -eq 3 ] || usage; cluster_cable "$@" ;;
reset) [ $# -eq 1 ] || usage; cluster_reset "$@" ;;
part) [ $# -eq 2 ] || usage; cluster_part "$@" ;;
address) [ $# -eq 1 ] || usage; cluster_node_address "$@" ;;
logs) kind_logs "$@" ;;
version) "$KIND/bin/kind" version -q ;;
lane) lane ;;
*) usage ;;
esac
