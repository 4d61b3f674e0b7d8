#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The lab's commands; see README.md. lab.mk has a make target for most of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for part in config progress cache proc net pki binaries operators debian builder rootfs containerd accel control-plane node load snapshot deps report; do
	# shellcheck source=/dev/null
	. "$here/lib/$part.sh"
done

usage() {
	cat >&2 <<-E
		usage: lab.sh COMMAND
		  plan [STEP...]                what \`up\` has to make first, and these steps, with usual times
		  deps                          install what this machine lacks (apt)
		  up | down                     start (from a snapshot, if there is one) or end everything
		  env                           shell lines that make kubectl and helm work
		  status                        what runs
		  load ARCHIVE [N...]           import an image archive on every node, or on those named
		  ssh N [COMMAND...]            on node N
		  logs [DIR]                    collect logs (default: \$LAB/logs)
		  link N cluster|fabric up|down pull or plug a cable
		  reset N                       reset VM N without warning
		  peer                          add VM $LAB_MAX_NODE as a machine outside the cluster, on both networks
		  part start|stop NAME          one of: $CONTROL_PLANE_PARTS
		  clean                         down, and remove certificates and state; the cache stays
	E
	exit 2
}

# One command at a time changes the lab.
lock() {
	mkdir -p "$LAB_CACHE" "$LAB_RUN"
	exec 9>"$LAB/lock"
	flock -n 9 && return 0
	log "waiting for another command that changes the lab"
	flock 9
}

# lab_plan [STEP...]: what has never been made here, and the steps of a build if there are no images yet. What is only
# stale is not in the plan.
lab_plan() {
	local -a steps=() lab
	[ -z "$(deps_missing)" ] || steps+=(deps)
	[ -d "$CHECKOUT/node_modules" ] || steps+=(npm)
	mapfile -t lab < <(cache_missing image-node image-workloads builder kubernetes etcd runc node-tree \
		"node-disk$(rootfs_variant)" "snapshot$(rootfs_variant)")
	steps+=("${lab[@]}")
	[ ${#steps[@]} -eq 0 ] || steps+=(start)
	[ -f "$CHECKOUT/build/images/agent.tar" ] || steps+=("$@")
	progress_plan "${steps[@]}"
}

lab_up() {
	lock
	case $LAB_CONTAINERD in 1 | 2) ;; *) die "LAB_CONTAINERD: 1 or 2, not $LAB_CONTAINERD" ;; esac
	pki_up
	builder_up
	binaries_up
	rootfs_up
	net_up
	ln -sfn "$LAB_PKI/admin.kubeconfig" "$LAB/kubeconfig"
	local n alive=1 part
	for n in $LAB_NODES; do proc_alive "w$n" || alive=; done
	for part in $CONTROL_PLANE_PARTS; do proc_alive "$part" || alive=; done
	if [ -n "$alive" ]; then
		[ "$(cat "$LAB_RUN/containerd" 2>/dev/null || echo 1)" = "$LAB_CONTAINERD" ] ||
			die "the lab is up, with another containerd: make lab-down first"
		log "already up"
		return 0
	fi
	# Half a lab can't be completed: VMs and etcd must be of the same moment.
	lab_stop_all
	accel_name >/dev/null
	echo "$LAB_CONTAINERD" >"$LAB_RUN/containerd"
	snapshot_up
	log "ready: $(lab_kubectl get nodes --no-headers | awk '{printf "%s %s, ", $1, $2}' | sed 's/, $//')"
}

lab_stop_all() {
	local n
	for n in $(seq "$LAB_MAX_NODE"); do node_stop "$n"; done
	control_plane_down
}

lab_down() {
	lock
	lab_stop_all
	net_down
	rm -rf "$LAB_RUN/etcd"
}

lab_env() {
	echo "export LAB='$LAB' KUBECONFIG='$LAB/kubeconfig'"
	echo "case :\$PATH: in *:'$LAB/bin':*) ;; *) export PATH='$LAB/bin':\$PATH ;; esac"
}

lab_load() {
	local archive
	archive=$(realpath "$1")
	shift
	# shellcheck disable=SC2086
	[ $# -gt 0 ] || set -- $LAB_NODES
	load_archive "$archive" "$@"
}

lab_peer() {
	lock
	echo peer >"$LAB_RUN/w$LAB_MAX_NODE.role"
	node_start "$LAB_MAX_NODE" "$(rootfs_dir)/disk.img"
	node_wait_ssh "$LAB_MAX_NODE"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
plan) lab_plan "$@" ;;
deps) deps_install ;;
binaries) lock; binaries_up ;;
# Not the lab's lock: the lab may run meanwhile.
operators) mkdir -p "$LAB"; exec 8>"$LAB/operators.lock"; flock 8; operators_up ;;
up) lab_up ;;
down) lab_down ;;
env) lab_env ;;
status) report_status ;;
load) [ $# -ge 1 ] || usage; lab_load "$@" ;;
ssh) [ $# -ge 1 ] || usage; node_ssh "$@" ;;
logs) report_logs "$@" ;;
link) [ $# -eq 3 ] || usage; net_link "$@" ;;
reset) [ $# -eq 1 ] || usage; node_monitor "$1" system_reset ;;
peer) lab_peer ;;
part)
	case ${1:-} in
	start) control_plane_start "$2" ;;
	stop) proc_stop "$2" ;;
	*) usage ;;
	esac
	;;
clean) lab_down; rm -rf "$LAB_PKI" "${LAB:?}/bin" "$LAB_RUN" "$LAB/kubeconfig" ;;
*) usage ;;
esac
