# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Nodes with containerd 2.x instead of Debian's 1.7 (LAB_CONTAINERD=2). It is the build that kind's nodes have. Disk and snapshot
# have entries of their own in the cache, so that a switch makes neither anew.

# kind's builds of Go modules; they are in the same cache.
KIND_SRC=${KIND_SRC:-$CHECKOUT/e2e/kind}
# shellcheck source=/dev/null
. "$KIND_SRC/lib/binaries.sh"

containerd_key() { cache_key "$(kind_binaries_key containerd)" "@$LAB_SRC/containerd2" "$(declare -f containerd_build_disk containerd_install)"; }

containerd_up() {
	BINARIES_MODULE=containerd
	cache_build kind-containerd "$(kind_binaries_key containerd)" kind_binaries_build
}

# containerd_build_disk DIR: the disk as rootfs_build_disk makes it, with images imported by Debian's containerd, whose store 2.x
# takes over. What it redefines is confined to the subshell of the step.
containerd_build_disk() {
	eval "$(declare -f rootfs_finish_disk | sed '1s/rootfs_finish_disk/containerd_finish_disk/')"
	rootfs_finish_disk() {
		containerd_install "$1/root"
		containerd_finish_disk "$1"
	}
	rootfs_build_disk "$1"
}

# containerd_install ROOT: over Debian's files, which its unit starts.
containerd_install() {
	install "$(kind_binaries_dir containerd)"/{containerd,containerd-shim-runc-v2,ctr} "$1/usr/bin/"
	cp -r "$LAB_SRC/containerd2/." "$1/"
	mkdir -p "$1/etc/containerd/conf.d"
}
