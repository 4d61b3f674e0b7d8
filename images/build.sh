#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build.sh [workloads] [operator] [agent]: write image archives to build/images, the node bundle to build/bundle.
# Needs what `make native` and images/bundle.ts have built.
# build.sh applications: write the image with UCX and Open MPI, for the cases that run them.
# build.sh bases: write the layers below each image's own layer as images; needs only node_modules.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for part in config progress cache debian builder; do
	# shellcheck source=/dev/null
	. "$here/../e2e/lab/lib/$part.sh"
done
BUILD=$CHECKOUT/build
NATIVE=$BUILD/native
IMAGES=$BUILD/images
LIBDIR=usr/lib/x86_64-linux-gnu
# shellcheck source=/dev/null
. "$here/applications.sh"

# tree_build DIR: a root with only the packages' files; PACKAGES is the path of the list.
tree_build() {
	local root=$1 dir
	# shellcheck disable=SC2016
	mmdebstrap --quiet --mode=root --variant=extract --format=directory \
		--include="$(debian_packages "$PACKAGES" | sed 's/^,//;s/,$//')" \
		--setup-hook='for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -sfn "usr/$d" "$1/$d"; done' \
		trixie "$root" "$(debian_mirror)"
	chroot "$root" /bin/busybox --install -s /bin
	chroot "$root" /bin/busybox true
	for dir in var/cache var/lib/apt var/lib/dpkg var/log etc/apt etc/dpkg usr/share/man usr/share/locale usr/share/lintian \
		usr/share/bug usr/share/initramfs-tools $LIBDIR/gconv $LIBDIR/perl-base usr/lib/locale; do
		rm -rf "${root:?}/$dir"
	done
	find "$root/usr/share/doc" -type f ! -name copyright -delete
	mkdir -p "$root"/{tmp,proc,sys,dev,run,etc}
	# Only rxe: libibverbs tries every driver at each start, and those without a library print a warning.
	find "$root/etc/libibverbs.d" -type f ! -name rxe.driver -delete 2>/dev/null || true
	printf 'root:x:0:0:root:/root:/bin/sh\n' >"$root/etc/passwd"
	printf 'root:x:0:\n' >"$root/etc/group"
}

# tree NAME: make the tree with the packages of NAME.packages if there is none; print its path.
tree() {
	PACKAGES=$here/$1.packages
	local key
	key=$(cache_key "@$PACKAGES" "$(declare -f tree_build)" "@$LAB_SRC/lib/debian.sh")
	mkdir -p "$LAB_CACHE"
	cache_build "image-$1" "$key" tree_build >&2
	cache_dir "image-$1" "$key"
}

# Node.js of node_modules without its symbols, which are a quarter of it.
node_build() {
	mkdir -p "$1/usr/bin"
	strip -o "$1/usr/bin/node" "$(readlink -f "$CHECKOUT/node_modules/node/bin/node")"
}

node_layer() {
	local key
	key=$(cache_key "$("$CHECKOUT/node_modules/.bin/node" --version)" "$(declare -f node_build)")
	cache_build image-nodejs "$key" node_build >&2
	cache_dir image-nodejs "$key"
}

# bundle: the files that the agent installs on a node under /opt/sealift. They use no library of the node.
bundle() {
	local out=$BUILD/bundle root lib program
	root=$(builder_dir)
	rm -rf "$out.tmp"
	mkdir -p "$out.tmp"/{bin,lib/criu,modules}
	install "$NATIVE/sealift-shim" "$out.tmp/bin/sealift-runc"
	ln "$out.tmp/bin/sealift-runc" "$out.tmp/bin/sealift"
	ln "$out.tmp/bin/sealift-runc" "$out.tmp/bin/sealift-host"
	ln "$out.tmp/bin/sealift-runc" "$out.tmp/bin/sealift-guard"
	install "$(readlink -f "$LAB/bin/runc")" "$root/usr/sbin/criu" "$out.tmp/bin/"
	install "$CHECKOUT/native/criu-plugin/build/ibverbs_plugin.so" "$out.tmp/lib/criu/"
	install -D -m 0644 "$CHECKOUT/native/criu-plugin/criu.conf" "$out.tmp/etc/criu.conf"
	for program in bin/criu lib/criu/ibverbs_plugin.so; do
		builder_run ldd "$out.tmp/$program"
	done | sed -nE 's/.*[[:space:]](\/[^ ]+) \(0x.*/\1/p' | sort -u | while read -r lib; do
		install "$root$lib" "$out.tmp/lib/"
	done
	# The interpreter is an absolute path: the bundle works only in /opt/sealift.
	builder_run patchelf --set-interpreter /opt/sealift/lib/ld-linux-x86-64.so.2 \
		--force-rpath --set-rpath /opt/sealift/lib "$out.tmp/bin/criu"
	for lib in "$out.tmp"/lib/*.so* "$out.tmp"/lib/criu/*.so; do
		case $lib in */ld-linux-*) continue ;; esac
		builder_run patchelf --force-rpath --set-rpath /opt/sealift/lib "$lib"
	done
	for lib in "$NATIVE"/modules/*/rdma_rxe.ko; do
		lib=$(basename "$(dirname "$lib")")
		mkdir -p "$out.tmp/modules/$lib"
		# BTF is not debug information: it stays.
		strip --strip-debug -o "$out.tmp/modules/$lib/rdma_rxe.ko" "$NATIVE/modules/$lib/rdma_rxe.ko"
	done
	rm -rf "$out"
	mv "$out.tmp" "$out"
}

# stage NAME: make an empty directory for the image's own layer and print its path.
stage() {
	local dir=$BUILD/stage/$1
	rm -rf "$dir"
	mkdir -p "$dir"
	echo "$dir"
}

# write NAME KEY ARGUMENT...: write the archive with image.ts, unless it was written from the same input.
write() {
	local name=$1 key=$2
	shift 2
	if [ "$(cat "$IMAGES/$name.key" 2>/dev/null)" != "$key" ] || [ ! -f "$IMAGES/$name.tar" ]; then
		log "writing image $name"
		node_js "$LAB_SRC/image.ts" "$@"
		echo "$key" >"$IMAGES/$name.key"
	fi
}

image_bases() {
	local base node workloads
	base=$(tree node)
	node=$(node_layer)
	workloads=$(tree workloads)
	write node-base "$(cache_key "$base" "$node")" --layer "$base" \
		"$IMAGES/node-base.tar" sealift.local/node-base:dev "$node" /usr/bin/node
	write workloads-base "$(cache_key "$workloads")" \
		"$IMAGES/workloads-base.tar" sealift.local/workloads-base:dev "$workloads" /bin/sh
}

image_workloads() {
	local base own
	base=$(tree workloads)
	own=$(stage workloads)
	install -D "$BUILD/workloads/ledger" "$own/usr/bin/ledger"
	install "$BUILD/workloads/forking" "$BUILD/workloads/reconnecting" "$BUILD/workloads/many" "$BUILD/workloads/random-verbs" "$BUILD/workloads/files" "$own/usr/bin/"
	write workloads "$(cache_key "$base" "@$own")" --layer "$base" \
		"$IMAGES/workloads.tar" sealift.local/workloads:dev "$own" /bin/sh
}

image_operator() {
	local base node own
	base=$(tree node)
	node=$(node_layer)
	own=$(stage operator)
	install -D -m 0644 "$BUILD/js/operator.js" "$own/opt/app/operator.js"
	echo '{"type":"module"}' >"$own/opt/app/package.json"
	write operator "$(cache_key "$base" "$node" "@$own")" --layer "$base" --layer "$node" --env NODE_ENV=production \
		"$IMAGES/operator.tar" sealift.local/operator:dev "$own" /usr/bin/node /opt/app/operator.js
}

image_agent() {
	local base node own
	base=$(tree node)
	node=$(node_layer)
	own=$(stage agent)
	bundle
	install -D -m 0644 "$BUILD/js/agent.js" "$own/opt/app/agent.js"
	install -m 0755 "$NATIVE/sealift.node" "$own/opt/app/sealift.node"
	install -m 0644 "$CHECKOUT/native/proto/ibverbs.proto" "$own/opt/app/ibverbs.proto"
	echo '{"type":"module"}' >"$own/opt/app/package.json"
	cp -a "$BUILD/bundle" "$own/opt/bundle"
	write agent "$(cache_key "$base" "$node" "@$own")" --layer "$base" --layer "$node" --env NODE_ENV=production \
		"$IMAGES/agent.tar" sealift.local/agent:dev "$own" /usr/bin/node /opt/app/agent.js
}

cd "$CHECKOUT"
mkdir -p "$IMAGES"
[ $# -gt 0 ] || set -- workloads operator agent
for image in "$@"; do "image_$image"; done
