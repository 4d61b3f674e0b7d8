# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The nodes' disk: a Debian 13 tree, which is slow to make and rarely changes, with Kubernetes' binaries, configuration and
# the image store. It is a read-only raw disk; each VM has an overlay over it.

rootfs_tree_key() {
	cache_key "@$LAB_SRC/node.packages" "$(declare -f rootfs_build_tree debian_tree)" "@$LAB_SRC/node/etc/initramfs-tools" "$(builder_kernel)"
}
rootfs_tree() { cache_dir node-tree "$(rootfs_tree_key)"; }

# Read many times in a run, during which it must not change: rootfs_up sets ROOTFS_KEY.
rootfs_key() {
	local key
	[ -z "${ROOTFS_KEY:-}" ] || { echo "$ROOTFS_KEY" && return; }
	key=$(cache_key "$(rootfs_tree_key)" "@$LAB_SRC/node" "@$LAB_SRC/pause" "@$LAB_SRC/image.ts" "$(declare -f rootfs_build_disk rootfs_finish_disk rootfs_seed_images)" \
		"$(binaries_key kubernetes)" "$(binaries_key runc)" "@$LAB_PKI/ca.crt" "$LAB_DISK_SIZE" \
		"$(rootfs_seed_sums)")
	[ -z "$(rootfs_variant)" ] || key=$(cache_key "$key" "$(containerd_key)")
	echo "$key"
}

# rootfs_variant: what names of disk and snapshot end in, with another containerd than Debian's.
rootfs_variant() { [ "$LAB_CONTAINERD" = 1 ] || echo "-containerd$LAB_CONTAINERD"; }

rootfs_seed_sums() {
	local archive
	for archive in $LAB_SEED; do
		[ -r "$archive" ] || die "LAB_SEED: cannot read $archive (make lab-seed writes the usual archives)"
		sha256sum <"$archive"
	done
}

rootfs_dir() { cache_dir "node-disk$(rootfs_variant)" "$(rootfs_key)"; }

rootfs_up() {
	cache_build node-tree "$(rootfs_tree_key)" rootfs_build_tree
	[ "$LAB_CONTAINERD" = 1 ] || containerd_up
	ROOTFS_KEY=$(rootfs_key)
	if [ "$LAB_CONTAINERD" = 1 ]; then
		cache_build node-disk "$ROOTFS_KEY" rootfs_build_disk
	else
		cache_build "node-disk$(rootfs_variant)" "$ROOTFS_KEY" containerd_build_disk
	fi
}

# The last hooks make the initrd again, with the lab's initramfs configuration.
rootfs_build_tree() {
	local kernel
	kernel=$(builder_kernel)
	# shellcheck disable=SC2016
	debian_tree "$1" "$LAB_SRC/node.packages" --include="linux-image-$kernel" \
		--dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/gpu/*' \
		--dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/media/*' \
		--dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/net/wireless/*' \
		--dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/net/ethernet/*' \
		--dpkgopt='path-exclude=/usr/lib/modules/*/kernel/drivers/infiniband/hw/*' \
		--dpkgopt='path-exclude=/usr/lib/modules/*/kernel/sound/*' \
		--essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
		--essential-hook="cp '$LAB_SRC/node/etc/initramfs-tools/conf.d/lab' \"\$1/etc/initramfs-tools/conf.d/\""  \
		--customize-hook="cp '$LAB_SRC/node/etc/initramfs-tools/modules' \"\$1/etc/initramfs-tools/modules\"" \
		--customize-hook='chroot "$1" update-initramfs -u -k all' \
		--customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*'
	cp "$1/boot/vmlinuz-$kernel" "$1/boot/vmlinuz"
	cp "$1/boot/initrd.img-$kernel" "$1/boot/initrd"
}

rootfs_build_disk() {
	local out=$1 root=$1/root file unit
	mkdir "$root"
	cp -a "$(rootfs_tree)/." "$root/"
	cp "$root/boot/vmlinuz" "$root/boot/initrd" "$out/"
	cp -r "$LAB_SRC/node/." "$root/"
	install "$(binaries_dir kubernetes)/kubelet" "$(binaries_dir runc)/runc" "$root/usr/local/bin/"

	# CNI plugins under the usual path, to which DaemonSets add their own.
	mkdir -p "$root/opt/cni/bin" "$root/etc/cni/net.d"
	for file in "$root"/usr/lib/cni/*; do ln -s "/usr/lib/cni/$(basename "$file")" "$root/opt/cni/bin/"; done
	install "$(binaries_dir kubernetes)/multus" "$root/opt/cni/bin/"

	cp "$LAB_PKI"/ca.crt "$LAB_PKI"/w*.kubeconfig "$LAB_PKI"/multus.kubeconfig "$LAB_PKI"/w*.crt "$LAB_PKI"/w*.key "$root/etc/kubernetes/"
	for unit in lab-init kubelet containerd; do
		file=/etc/systemd/system/$unit.service
		[ -e "$root$file" ] || file=/usr/lib/systemd/system/$unit.service
		ln -sf "$file" "$root/etc/systemd/system/multi-user.target.wants/"
	done
	rootfs_seed_images "$root"
	rootfs_finish_disk "$out"
}

# rootfs_finish_disk DIR: make the tree DIR/root one of a VM that is reached by ssh, and then DIR/disk.img of it.
rootfs_finish_disk() {
	local out=$1 root=$1/root unit
	rm -f "$root"/etc/ssh/ssh_host_*
	install -m 0600 "$LAB_PKI/ssh-host" "$root/etc/ssh/ssh_host_ed25519_key"
	install -D -m 0600 "$LAB_PKI/ssh.pub" "$root/root/.ssh/authorized_keys"
	echo '/dev/vda / ext4 noatime,commit=60 0 0' >"$root/etc/fstab"
	: >"$root/etc/machine-id"
	# Units of no use to a VM without users, updates or hardware.
	for unit in apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
		e2scrub_reap.service systemd-networkd.service systemd-timesyncd.service systemd-resolved.service \
		nftables.service getty@tty1.service systemd-binfmt.service systemd-pstore.service systemd-logind.service \
		iwpmd.service rdma-ndd.service ibacm.service modprobe@drm.service modprobe@efi_pstore.service \
		systemd-random-seed.service systemd-udev-settle.service console-getty.service serial-getty@ttyS0.service; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 -O ^metadata_csum -d "$root" "$out/disk.img" "$LAB_DISK_SIZE"
	rm -rf "$root"
}

# Import the pause image and LAB_SEED into the tree's image store, with the nodes' containerd at native speed.
rootfs_seed_images() {
	local root=$1 work archive
	work=$root/tmp/seed
	mkdir -p "$work/pause" "$root/var/lib/containerd"
	gcc -static -O2 -s -Wall -Wextra -Werror -o "$work/pause/pause" "$LAB_SRC/pause/pause.c"
	node_js "$LAB_SRC/image.ts" "$work/pause.tar" sealift.local/pause:1 "$work/pause" /pause
	rm -r "$work/pause"
	for archive in $LAB_SEED; do cp "$archive" "$work/$(cache_key "$archive").tar"; done
	# shellcheck disable=SC2016
	unshare --mount --net --pid --fork --propagation private bash -euc '
		mount -t proc proc "$1/proc"
		mount -t sysfs sysfs "$1/sys" 2>/dev/null || true
		mount --bind /dev "$1/dev"
		mount -t tmpfs tmpfs "$1/run"
		chroot "$1" /bin/bash -euc "
			printf \"version = 2\ndisabled_plugins = [\\\"io.containerd.grpc.v1.cri\\\"]\n\" > /run/seed.toml
			containerd --config /run/seed.toml >/run/containerd.log 2>&1 &
			daemon=\$!
			for i in \$(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
			for archive in /tmp/seed/*.tar; do
				ctr --namespace k8s.io images import --local --snapshotter overlayfs \$archive || { cat /run/containerd.log >&2; exit 1; }
			done
			kill \$daemon
			wait \$daemon || true
		"
	' seed "$root" >&2
	rm -rf "$work"
}
