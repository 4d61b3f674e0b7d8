# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The VM and its snapshot, with the cluster in it. VM and disk are the lab's node 1 (lib/node.sh), with two CPUs.

# QEMU takes the last of two -smp options.
vm_options() { echo -smp "$KIND_CPUS"; }

vm_snapshot_key() {
	[ -z "${VM_SNAPSHOT_KEY:-}" ] || { echo "$VM_SNAPSHOT_KEY" && return; }
	cache_key "$(machine_key)" "$(declare -f vm_snapshot_build vm_snapshot_take vm_options node_start cluster_create cluster_config cluster_node_config cluster_furnish cluster_network cluster_multus_kubeconfig)" \
		"@$LAB_SRC/manifests" "@$KIND_SRC/manifests" "memory $LAB_MEMORY_MIB cpus $KIND_CPUS" \
		"$(accel_args)" "$(accel_kernel_args)" "$(qemu-system-x86_64 --version | head -1)"
}
vm_snapshot_dir() { cache_dir kind-snapshot "$(vm_snapshot_key)"; }

vm_up() {
	VM_SNAPSHOT_KEY=$(vm_snapshot_key)
	cache_build kind-snapshot "$VM_SNAPSHOT_KEY" vm_snapshot_build
	progress_run kind-start vm_start "$(vm_snapshot_dir)"
}

vm_start() {
	vm_snapshot_start "$1"
	vm_driver
}

# vm_driver: load Sealift's driver, which is not in the snapshot: it changes more often than all else there.
vm_driver() {
	local module
	module=${KIND_DRIVER:-$CHECKOUT/build/native/modules/$(builder_kernel)/rdma_rxe.ko}
	[ -r "$module" ] || die "there is no driver at $module: run make native"
	node_ssh 1 'cat >/run/rdma_rxe.ko && insmod /run/rdma_rxe.ko' <"$module"
}

# The first start: boot, let kind create the cluster, prepare its nodes, then save the VM's state and its disk.
vm_snapshot_build() {
	local out=$1
	# shellcheck disable=SC2046
	node_start 1 "$(rootfs_dir)/disk.img" $(vm_options)
	node_wait_ssh 1
	log "waiting for Docker"
	local tries=300
	until node_ssh 1 'docker version >/dev/null 2>&1' </dev/null; do
		[ $((tries--)) -gt 0 ] || die "Docker does not start in the VM: see $LAB_RUN/w1.console"
		sleep 1
	done
	node_ssh 1 'rdma system' </dev/null | grep -q 'netns exclusive' || die "RDMA is not in exclusive mode in the VM: see $LAB_RUN/w1.console"
	cluster_create
	cluster_furnish
	vm_snapshot_take "$out"
}

vm_snapshot_take() {
	local out=$1
	log "taking the snapshot"
	cp "$KIND/kubeconfig" "$out/kubeconfig"
	node_ssh 1 'sync; fstrim / || true; echo 3 >/proc/sys/vm/drop_caches' </dev/null
	ssh -F none -O exit -o "ControlPath=$LAB_RUN/w1.ssh" "root@$(node_ip 1)" 2>/dev/null || true
	node_monitor 1 stop
	node_monitor 1 'migrate_set_parameter max-bandwidth 16G'
	node_monitor 1 "migrate \"exec:cat > '$out/w1.memory'\""
	node_monitor 1 'info migrate' | grep -q 'Migration status: completed' || die "saving the VM failed: $(node_monitor 1 'info migrate')"
	proc_stop w1
	mv "$LAB_RUN/w1.qcow2" "$out/w1.qcow2"
}

# vm_snapshot_start DIR: start the VM as it was, set its clock, and wait until every kubelet has been heard of again.
vm_snapshot_start() {
	local dir=$1 started node tries=900 renewed
	started=$(date -u +%FT%T)
	# shellcheck disable=SC2046
	node_start 1 "$dir/w1.qcow2" $(vm_options) -incoming "exec:cat '$dir/w1.memory'"
	node_continue 1
	install -m 0600 "$dir/kubeconfig" "$KIND/kubeconfig"
	node_wait_ssh 1
	node_set_clock 1
	for node in $KIND_NODES; do
		until renewed=$(cluster_kubectl -n kube-node-lease get lease "$node" -o 'jsonpath={.spec.renewTime}' 2>/dev/null) && [[ $renewed > $started ]]; do
			[ $((tries--)) -gt 0 ] || die "the kubelet of $node does not come back: see make kind-logs"
			sleep 0.5
		done
		cluster_kubectl wait "node/$node" --for=condition=Ready --timeout=300s >/dev/null
	done
}

vm_down() {
	node_stop 1
	net_down
}
