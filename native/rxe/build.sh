#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Build rdma_rxe.ko out of tree.
# usage: build.sh KDIR SRC_TARBALL OUT
#   KDIR         kernel headers, e.g. /lib/modules/$(uname -r)/build
#   SRC_TARBALL  the same kernel's source, e.g. /usr/src/linux-source-6.12.tar.xz
#   OUT          folder that gets rdma_rxe.ko
# STOCK=1: the distribution's driver, without patches and own files, to compare with
set -eu

[ $# -eq 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
kdir=$(cd "$1" && pwd)
tarball=$2
mkdir -p "$3"
out=$(cd "$3" && pwd)
dir=drivers/infiniband

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# the driver, and the two headers of the core that the headers package lacks
tar -xf "$tarball" -C "$work" --strip-components=1 --wildcards \
	"*/$dir/sw/rxe/*" "*/$dir/core/uverbs.h" "*/$dir/core/rdma_core.h" '*/Makefile'

# structures must be laid out as in the kernel that loads the module
version() {
	sed -n 's/^\(VERSION\|PATCHLEVEL\|SUBLEVEL\) = *//p' "$1" | head -n 3 | paste -sd.
}
want=$(make -s -C "$kdir" kernelversion)
have=$(version "$work/Makefile")
[ "$want" = "$have" ] || {
	echo "build.sh: headers are of $want, source is of $have" >&2
	exit 1
}

if [ -z "${STOCK:-}" ]; then
	for patch in "$here"/patches/*.patch; do
		patch -s -p1 -d "$work" < "$patch"
	done
	cp "$here"/src/*.[ch] "$here"/uapi/*.h "$work/$dir/sw/rxe/"
fi

make -C "$kdir" M="$work/$dir/sw/rxe" CONFIG_RDMA_RXE=m \
	KCFLAGS=-Werror modules
cp "$work/$dir/sw/rxe/rdma_rxe.ko" "$out/"
