# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A snapshot is a whole lab: memory and disk of every VM and etcd's data, all of the same moment, with the VMs stopped. So
# API objects and what the nodes know of them agree. A start copies only etcd's data: the VMs get overlays over the
# snapshot's disks and read their memory from it.

snapshot_key() {
	[ -z "${SNAPSHOT_KEY:-}" ] || { echo "$SNAPSHOT_KEY" && return; }
	cache_key "$(rootfs_key)" "$(binaries_key etcd)" "@$LAB_SRC/manifests" "$(declare -f snapshot_build snapshot_warm_up snapshot_take node_start control_plane_start)" \
		"nodes $LAB_NODES" "memory $LAB_MEMORY_MIB" "$(accel_args)" "$(accel_kernel_args)" "$(qemu-system-x86_64 --version | head -1)"
}

# snapshot_up: make the snapshot if there is none, then start the lab from it.
snapshot_up() {
	SNAPSHOT_KEY=$(snapshot_key)
	cache_build "snapshot$(rootfs_variant)" "$SNAPSHOT_KEY" snapshot_build
	progress_run start snapshot_start "$(snapshot_dir)"
}

snapshot_dir() { cache_dir "snapshot$(rootfs_variant)" "$(snapshot_key)"; }

# The first start: boot, wait until every node is Ready and has run a pod, so that the page cache contains what the next
# pod needs, then take the snapshot.
snapshot_build() {
	local out=$1 n
	rm -rf "$LAB_RUN/etcd"
	for n in $LAB_NODES; do node_start "$n" "$(rootfs_dir)/disk.img"; done
	control_plane_up
	control_plane_furnish
	log "waiting for nodes to boot and join"
	for n in $LAB_NODES; do node_wait_ssh "$n"; done
	snapshot_wait_ready 900
	snapshot_warm_up
	snapshot_take "$out"
}

snapshot_wait_ready() {
	local n tries=$1
	for n in $LAB_NODES; do
		until lab_kubectl wait "node/w$n" --for=condition=Ready --timeout=5s >/dev/null 2>&1; do
			[ $((tries -= 5)) -gt 0 ] || die "w$n is not Ready: see lab-logs"
			proc_alive "w$n" || die "w$n ended: see $LAB_RUN/w$n.log and $LAB_RUN/w$n.console"
			sleep 1
		done
	done
}

snapshot_warm_up() {
	local n
	log "warming up"
	for n in $LAB_NODES; do
		lab_kubectl apply -f - >/dev/null <<-E
			apiVersion: v1
			kind: Pod
			metadata: { name: warm-up-$n, namespace: default }
			spec:
			  nodeName: w$n
			  terminationGracePeriodSeconds: 1
			  containers: [{ name: main, image: 'sealift.local/pause:1', imagePullPolicy: Never }]
		E
	done
	for n in $LAB_NODES; do lab_kubectl wait "pod/warm-up-$n" --for=condition=Ready --timeout=300s >/dev/null; done
	for n in $LAB_NODES; do lab_kubectl delete pod "warm-up-$n" --timeout=120s >/dev/null; done
}

# snapshot_take DIR: stop the lab and save it in DIR. The VMs end here; snapshot_start starts them from what was saved.
snapshot_take() {
	local out=$1 n
	log "taking the snapshot"
	for n in $LAB_NODES; do
		node_ssh "$n" 'sync; fstrim / || true' </dev/null
		ssh -F none -O exit -o "ControlPath=$LAB_RUN/w$n.ssh" "root@$(node_ip "$n")" 2>/dev/null || true
		node_monitor "$n" stop
	done
	control_plane_down
	cp -r "$LAB_RUN/etcd" "$out/etcd"
	for n in $LAB_NODES; do
		node_monitor "$n" 'migrate_set_parameter max-bandwidth 16G'
		node_monitor "$n" "migrate \"exec:cat > '$out/w$n.memory'\""
		node_monitor "$n" 'info migrate' | grep -q 'Migration status: completed' || die "saving w$n failed: $(node_monitor "$n" 'info migrate')"
		proc_stop "w$n"
		mv "$LAB_RUN/w$n.qcow2" "$out/w$n.qcow2"
	done
}

# snapshot_start DIR: start the lab as it was, and set the nodes' clocks.
snapshot_start() {
	local dir=$1 n part started
	started=$(date -u +%FT%T)
	rm -rf "$LAB_RUN/etcd"
	cp -r "$dir/etcd" "$LAB_RUN/etcd"
	for n in $LAB_NODES; do
		node_start "$n" "$dir/w$n.qcow2" -incoming "exec:cat '$dir/w$n.memory'"
	done
	for part in $CONTROL_PLANE_PARTS; do control_plane_start "$part"; done
	# The VMs were stopped when they were saved, and stay so until they get this command.
	for n in $LAB_NODES; do node_continue "$n"; done
	control_plane_wait
	for n in $LAB_NODES; do
		node_wait_ssh "$n"
		node_set_clock "$n"
	done
	snapshot_wait_lease "$started"
	snapshot_wait_ready 300
}

# snapshot_wait_lease TIME: wait until every kubelet has renewed its lease since TIME (UTC, ISO 8601). The nodes' Ready
# condition alone is of before the snapshot.
snapshot_wait_lease() {
	local n tries=600 renewed
	for n in $LAB_NODES; do
		until renewed=$(lab_kubectl -n kube-node-lease get lease "w$n" -o 'jsonpath={.spec.renewTime}') && [[ $renewed > $1 ]]; do
			[ $((tries--)) -gt 0 ] || die "the kubelet of w$n does not come back: see lab-logs"
			sleep 0.5
		done
	done
}
