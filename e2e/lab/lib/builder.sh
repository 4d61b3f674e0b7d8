# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The builder: a Debian 13 tree in which native parts are built, so that every machine builds the same.

builder_key() { cache_key "@$LAB_SRC/builder.packages" "$(declare -f builder_build debian_tree)"; }

builder_dir() { cache_dir builder "$(builder_key)"; }

builder_up() { cache_build builder "$(builder_key)" builder_build; }

builder_build() {
	debian_tree "$1" "$LAB_SRC/builder.packages"
	# The nodes must boot the kernel of the headers package.
	basename "$1"/usr/src/linux-headers-*-amd64 | sed 's/^linux-headers-//' >"$1/kernel-release"
	local src=$1/usr/src
	tar -C "$src" -xf "$src"/linux-source-6.12.tar.xz \
		linux-source-6.12/drivers/infiniband linux-source-6.12/include linux-source-6.12/scripts
}

# Release of the nodes' kernel, e.g. 6.12.117+deb13-amd64.
builder_kernel() { cat "$(builder_dir)/kernel-release"; }

# builder_run COMMAND...: run a command in the builder, in the current directory, with the checkout and $LAB at their own
# paths. The command has a mount namespace of its own, so that its mounts end with it.
builder_run() {
	# shellcheck disable=SC2016
	unshare --mount --propagation private bash -euc '
		root=$1 checkout=$2 lab=$3 cwd=$4; shift 4
		# The root must be a mount: commands that make namespaces of their own change its propagation.
		mount --bind "$root" "$root"
		mount -t proc proc "$root/proc"
		# With /dev/pts, for tests that need a terminal.
		mount --rbind /dev "$root/dev"
		mount -t tmpfs tmpfs "$root/tmp"
		# After /tmp: the checkout may be in there.
		for dir in "$checkout" "$lab"; do
			mkdir -p "$root$dir"
			mount --bind "$dir" "$root$dir"
		done
		release=$(cat "$root/kernel-release")
		# Not chroot: CRIU finds another root in a container than its mount namespace has, if runc was started in a chroot.
		old=$(mktemp -d "$root/tmp/host.XXXXXX")
		cd "$root"
		pivot_root . "$old"
		umount --lazy "${old#"$root"}"
		rmdir "${old#"$root"}"
		exec /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin:"$checkout/node_modules/.bin" LANG=C.UTF-8 TERM=dumb \
			KERNEL_RELEASE="$release" ${MAKEFLAGS:+MAKEFLAGS="$MAKEFLAGS"} \
			sh -c "cd \"\$0\" && exec \"\$@\"" "$cwd" "$@"
	' builder "$(builder_dir)" "$CHECKOUT" "$LAB" "$PWD" "$@"
}
