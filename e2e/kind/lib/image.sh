# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The node image: a Debian tree with kind's own files (images/base of its Go module), Kubernetes' binaries, containerd 2.x,
# runc, CNI plugins, Multus, and the control plane's images in containerd's store. No registry is asked for any of it.

kind_tree_key() { cache_key "@$KIND_SRC/node.packages" "$(declare -f kind_tree_build debian_tree)"; }
kind_tree() { cache_dir kind-tree "$(kind_tree_key)"; }
kind_tree_build() { debian_tree "$1" "$KIND_SRC/node.packages"; }

# Of kind the image has files of its module, and not the program. Read many times in a run: kind_image_up sets KIND_IMAGE_KEY.
kind_image_key() {
	local module
	[ -z "${KIND_IMAGE_KEY:-}" ] || { echo "$KIND_IMAGE_KEY" && return; }
	cache_key "$(kind_tree_key)" "@$KIND_SRC/node" "@$LAB_SRC/pause" "@$LAB_SRC/image.ts" \
		"$(declare -f kind_image_build kind_image_furnish kind_image_control_plane kind_image_seed kind_scratch_image kind_libraries)" \
		"$(binaries_key kubernetes)" "$(binaries_key etcd)" "$(binaries_key runc)" "$(kind_multus_key)" \
		"$(for module in $KIND_MODULES; do [ "$module" = kind ] || kind_binaries_key "$module"; done)" "@$KIND_SRC/go/kind" "$KIND_REPOSITORY" "$(rootfs_seed_sums)"
}
kind_image_dir() { cache_dir kind-image "$(kind_image_key)"; }

kind_tree_up() { cache_build kind-tree "$(kind_tree_key)" kind_tree_build; }

kind_image_up() {
	kind_tree_up
	KIND_IMAGE_KEY=$(kind_image_key)
	cache_build kind-image "$(kind_image_key)" kind_image_build
}

# kind_image_build DIR: the image's root as one archive, DIR/root.tar.
kind_image_build() {
	local out=$1 root=$1/root
	mkdir "$root"
	cp -a "$(kind_tree)/." "$root/"
	kind_image_furnish "$root"
	kind_image_control_plane "$root" "$out/images"
	kind_image_seed "$root" "$out/images"
	tar -C "$root" --sort=name --numeric-owner -cf "$out/root.tar" .
	rm -rf "$root" "$out/images"
}

# kind_image_furnish ROOT: kind's files, as its own Dockerfile lays them, then binaries.
kind_image_furnish() {
	local root=$1 files wants file unit
	files=$(cd "$KIND_SRC/go/kind" && GOWORK=off GOFLAGS=-mod=readonly kind_module_source "$(binaries_go)" sigs.k8s.io/kind)/images/base/files
	cp -r --no-preserve=mode,ownership "$files"/{etc,kind,usr} "$root/"
	chmod 0755 "$root"/usr/local/bin/* "$root"/kind/bin/*
	find "$root/usr/lib/systemd/system/sysinit.target.wants" -name systemd-tmpfiles-setup.service -delete
	for wants in usr/lib/systemd/system/multi-user.target.wants usr/lib/systemd/system/local-fs.target.wants usr/lib/systemd/system/basic.target.wants; do
		rm -f "$root/$wants"/*
	done
	rm -f "$root"/etc/systemd/system/*.wants/* "$root"/usr/lib/systemd/system/sockets.target.wants/*{udev,initctl}*
	echo ReadKMsg=no >>"$root/etc/systemd/journald.conf"
	cp -r --no-preserve=ownership "$KIND_SRC/node/." "$root/"
	mkdir -p "$root"/etc/systemd/system/multi-user.target.wants "$root"/etc/{sealift-kind,cni/net.d,kubernetes/manifests}
	for unit in kubelet containerd undo-mount-hacks sealift-kind; do
		ln -sf "/etc/systemd/system/$unit.service" "$root/etc/systemd/system/multi-user.target.wants/"
	done
	# Units of no use to a node that is a container, and what is the kernel's alone.
	for unit in systemd-binfmt.service systemd-logind.service systemd-udevd.service systemd-udev-trigger.service \
		iwpmd.service rdma-ndd.service ibacm.service getty.target console-getty.service \
		apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	install "$(binaries_dir kubernetes)"/{kubelet,kubectl} "$(kind_binaries_dir kubernetes)/kubeadm" "$root/usr/bin/"
	install "$(kind_binaries_dir containerd)"/{containerd,containerd-shim-runc-v2,ctr} "$(kind_binaries_dir crictl)/crictl" "$root/usr/local/bin/"
	install -D "$(binaries_dir runc)/runc" "$root/usr/local/sbin/runc"
	mkdir -p "$root/opt/cni/bin"
	for file in "$root"/usr/lib/cni/*; do ln -sf "/usr/lib/cni/$(basename "$file")" "$root/opt/cni/bin/"; done
	install "$(kind_multus_dir)/multus" "$root/opt/cni/bin/"
	"$(binaries_dir kubernetes)/kubectl" version --client -o json | sed -n 's/.*"gitVersion": "\(.*\)".*/\1/p' >"$root/kind/version"
	mkdir -p "$root/kind/manifests"
	# Pods of the cases have no claims: a class for those who make volumes by hand.
	cat >"$root/kind/manifests/default-storage.yaml" <<-'Y'
		apiVersion: storage.k8s.io/v1
		kind: StorageClass
		metadata:
		  name: standard
		  annotations: { storageclass.kubernetes.io/is-default-class: 'true' }
		provisioner: kubernetes.io/no-provisioner
		volumeBindingMode: WaitForFirstConsumer
	Y
	# The specification that containers start from: kind's, but for the hook that gives each container a product UUID of its
	# own. That hook starts four programs for each container, which takes an emulated CPU seconds.
	chroot "$root" /bin/bash -euc 'ctr oci spec | jq "del(.process.rlimits)" >/etc/containerd/cri-base.json'
	: >"$root/etc/machine-id"
}

# kind_scratch_image DIR REFERENCE FILE ENTRYPOINT [TREE]: an image with one static binary, and with TREE below it.
kind_scratch_image() {
	local dir=$1 reference=$2 file=$3 entrypoint=$4 tree=${5:-} work
	work=$dir/$(basename "$entrypoint").work
	mkdir -p "$work/tmp" "$work/etc" "$work$(dirname "$entrypoint")"
	chmod 1777 "$work/tmp"
	printf 'root:x:0:0:root:/root:/sbin/nologin\n' >"$work/etc/passwd"
	[ -z "$tree" ] || cp -a "$tree/." "$work/"
	install "$file" "$work$entrypoint"
	node_js "$LAB_SRC/image.ts" "$dir/$(basename "$entrypoint").tar" "$reference" "$work" "$entrypoint"
	rm -rf "$work"
}

# kind_libraries ROOT OUT PROGRAM...: programs of a tree, with the libraries that they load.
kind_libraries() {
	local root=$1 out=$2 file
	shift 2
	for file in "$@" $(chroot "$root" ldd "$@" | grep -o '/[^ :]*\.so[^ :]*' | sort -u); do
		mkdir -p "$out$(dirname "$file")"
		cp -L "$root$file" "$out$file"
	done
}

# kind_image_control_plane ROOT DIR: archives of the images that kubeadm of this version names.
kind_image_control_plane() {
	local root=$1 dir=$2 reference name
	mkdir -p "$dir/pause" "$dir/nft"
	kind_libraries "$root" "$dir/nft" /usr/sbin/nft
	gcc -static -O2 -s -Wall -Wextra -Werror -o "$dir/pause/pause" "$LAB_SRC/pause/pause.c"
	for reference in $("$(kind_binaries_dir kubernetes)/kubeadm" config images list --image-repository "$KIND_REPOSITORY" --kubernetes-version "$(cat "$root/kind/version")"); do
		name=$(basename "${reference%:*}")
		case $name in
		pause)
			kind_scratch_image "$dir" "$reference" "$dir/pause/pause" /pause
			# kind's own configuration of containerd names the image that kind builds with.
			sed -i "s#sandbox_image = \".*\"#sandbox_image = \"$reference\"#" "$root/etc/containerd/config.toml"
			;;
		coredns) kind_scratch_image "$dir" "$reference" "$(kind_binaries_dir coredns)/coredns" /coredns ;;
		etcd) kind_scratch_image "$dir" "$reference" "$(binaries_dir etcd)/etcd" /usr/local/bin/etcd ;;
		# It programs rules with nft.
		kube-proxy) kind_scratch_image "$dir" "$reference" "$(kind_binaries_dir kubernetes)/kube-proxy" /usr/local/bin/kube-proxy "$dir/nft" ;;
		*) kind_scratch_image "$dir" "$reference" "$(binaries_dir kubernetes)/$name" "/usr/local/bin/$name" ;;
		esac
	done
	rm -rf "$dir/pause" "$dir/nft"
	# containerd would ask every shim for statistics each second, which took half of the emulated CPUs. Nobody reads them: the
	# kubelet takes its own.
	cat >>"$root/etc/containerd/config.toml" <<-'T'

		[plugins."io.containerd.cri.v1.runtime"]
		  stats_collect_period = "10m"
		  stats_retention_period = "30m"
	T
	grep -q "sandbox_image = \"$KIND_REPOSITORY/" "$root/etc/containerd/config.toml" || die "kind's config.toml names no sandbox_image"
}

# kind_image_seed ROOT DIR: import the archives of DIR, and the layers below Sealift's images, with the node's containerd at
# native speed. Of the control plane's images only what is unpacked stays: each node gets a copy of the store. Layers below
# Sealift's images stay as they are, so that only what is above them is sent to a node later.
kind_image_seed() {
	local root=$1 dir=$2 archive
	mkdir -p "$root/seed/control-plane" "$root/var/lib/containerd"
	mv "$dir"/*.tar "$root/seed/control-plane/"
	for archive in $LAB_SEED; do cp "$archive" "$root/seed/$(cache_key "$archive").tar"; done
	# shellcheck disable=SC2016
	unshare --mount --net --pid --fork --propagation private bash -euc '
		mount -t proc proc "$1/proc"
		mount --bind /dev "$1/dev"
		mount -t tmpfs tmpfs "$1/run"
		chroot "$1" /bin/bash -euc "
			printf \"version = 3\ndisabled_plugins = [\\\"io.containerd.cri.v1.runtime\\\", \\\"io.containerd.grpc.v1.cri\\\"]\n\" >/run/seed.toml
			containerd --config /run/seed.toml >/run/containerd.log 2>&1 &
			daemon=\$!
			for i in \$(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
			for archive in /seed/*.tar /seed/control-plane/*.tar; do
				discard=
				case \$archive in */control-plane/*) discard=--discard-unpacked-layers ;; esac
				ctr --namespace k8s.io images import --local --snapshotter overlayfs \$discard \$archive || { cat /run/containerd.log >&2; exit 1; }
			done
			# Deleting a lease is a way to wait for the garbage collection.
			ctr --namespace k8s.io leases create --id seed
			ctr --namespace k8s.io leases delete --sync seed
			kill \$daemon
			wait \$daemon || true
		"
	' seed "$root" >&2
	rm -rf "$root/seed"
}
