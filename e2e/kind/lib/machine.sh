# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The VM's disk: Debian 13 with Docker, which has the node image already, and kind. It is for machines whose own kernel can't take
# the driver. Its node.sh is the lab's: the VM is node 1.

machine_tree_key() {
	cache_key "@$KIND_SRC/machine/node.packages" "$(declare -f rootfs_build_tree debian_tree)" "@$LAB_SRC/node/etc/initramfs-tools" "$(builder_kernel)"
}
machine_tree() { cache_dir kind-machine-tree "$(machine_tree_key)"; }

# The lab's tree, with another list of packages. It runs in a subshell (progress_run), to which what it redefines is confined:
# the builder's name, too, depends on LAB_SRC.
machine_tree_build() {
	local machine_kernel
	machine_kernel=$(builder_kernel)
	builder_kernel() { echo "$machine_kernel"; }
	LAB_SRC=$KIND_SRC/machine rootfs_build_tree "$1"
}

machine_key() {
	[ -z "${MACHINE_KEY:-}" ] || { echo "$MACHINE_KEY" && return; }
	cache_key "$(machine_tree_key)" "$(kind_image_key)" "$(declare -f machine_build machine_stores machine_docker_import rootfs_finish_disk)" \
		"$(find "$KIND_SRC/machine/node/etc" "$KIND_SRC/machine/node/usr" -type f -exec sha256sum {} + | sort | cut -c1-64)" \
		"$(kind_binaries_key kind)" "@$LAB_PKI/ssh.pub" "$LAB_DISK_SIZE" "$KIND_IMAGE"
}

# The lab's node.sh and accel.sh ask for it: a directory with disk.img, vmlinuz and initrd.
rootfs_dir() { cache_dir kind-machine "$(machine_key)"; }

machine_up() {
	machine_keys
	cache_build kind-machine-tree "$(machine_tree_key)" machine_tree_build
	MACHINE_KEY=$(machine_key)
	cache_build kind-machine "$(machine_key)" machine_build
}

# ssh keys of the VM. All certificates of the cluster are kubeadm's.
machine_keys() {
	[ ! -f "$LAB_PKI/complete" ] || return 0
	rm -rf "$LAB_PKI"
	mkdir -m 0700 "$LAB_PKI"
	ssh-keygen -q -t ed25519 -N '' -C sealift-kind -f "$LAB_PKI/ssh"
	ssh-keygen -q -t ed25519 -N '' -C sealift-kind-machine -f "$LAB_PKI/ssh-host"
	touch "$LAB_PKI/complete"
}

machine_build() {
	local out=$1 root=$1/root file
	mkdir "$root"
	cp -a "$(machine_tree)/." "$root/"
	cp "$root/boot/vmlinuz" "$root/boot/initrd" "$out/"
	for file in etc usr; do cp -rL --no-preserve=ownership "$KIND_SRC/machine/node/$file" "$root/"; done
	rm -rf "$root/etc/initramfs-tools"
	install "$(kind_binaries_dir kind)/kind" "$root/usr/local/bin/"
	ln -sf /etc/systemd/system/kind-init.service "$root/etc/systemd/system/multi-user.target.wants/"
	machine_stores "$root"
	machine_docker_import "$root"
	rootfs_finish_disk "$out"
}

# The directory of the VM with each node's image store.
MACHINE_STORES=/var/lib/kind-stores

# machine_stores ROOT: unpack the image store of the node image once for each node. In a plain kind cluster it is below /var of
# the image, and Docker copies that into a volume for each node, which takes the emulated CPUs minutes.
machine_stores() {
	local root=$1 node
	for node in $KIND_NODES; do
		mkdir -p "$root$MACHINE_STORES/$node"
		tar -C "$root$MACHINE_STORES/$node" --strip-components=4 -xf "$(kind_image_dir)/root.tar" ./var/lib/containerd
	done
}

# machine_docker_import ROOT: import the node image, without its image store, with the tree's Docker at native speed. It needs no
# network and no containers for that.
machine_docker_import() {
	local root=$1
	# shellcheck disable=SC2016
	unshare --mount --net --pid --fork --propagation private bash -euc '
		# The root must be a mount: Docker changes its propagation where it unpacks.
		mount --bind "$1" "$1"
		mount -t proc proc "$1/proc"
		mount -t sysfs sysfs "$1/sys"
		# Docker does not start without the cgroups of the machine.
		[ ! -d /sys/fs/cgroup ] || mount --rbind /sys/fs/cgroup "$1/sys/fs/cgroup"
		mount --bind /dev "$1/dev"
		mount -t tmpfs tmpfs "$1/run"
		mkdir "$1/run/import"
		mount --bind "$3" "$1/run/import"
		chroot "$1" /bin/bash -euo pipefail -c "
			dockerd --iptables=false --ip6tables=false --bridge=none >/run/dockerd.log 2>&1 &
			daemon=\$!
			for i in \$(seq 300); do docker version >/dev/null 2>&1 && break; sleep 0.2; done
			tar --delete -f - ./var/lib/containerd </run/import/root.tar |
				docker import --change \"ENV container=docker\" --change \"STOPSIGNAL SIGRTMIN+3\" \
				--change \"ENTRYPOINT [\\\"/usr/local/bin/entrypoint\\\", \\\"/sbin/init\\\"]\" \
				- $2 || { tail -n 50 /run/dockerd.log >&2; exit 1; }
			kill \$daemon
			wait \$daemon || true
		"
	' import "$root" "$KIND_IMAGE" "$(kind_image_dir)" >&2
}
