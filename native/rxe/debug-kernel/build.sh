#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Build the debug kernel, in the builder.
# usage: build.sh SRC_TARBALL CONFIG OUT
#   SRC_TARBALL  kernel source, e.g. /usr/src/linux-source-6.12.tar.xz
#   CONFIG       what to choose; the rest is allnoconfig
#   OUT          folder that gets the executable linux, and headers/ to build modules against
set -eu

[ $# -eq 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
tarball=$1
config=$(realpath "$2")
out=$(realpath "$3")
src=$out/src

# Without what no configuration of ours builds; Kconfig files must all be there.
mkdir "$src"
tar -xf "$tarball" -C "$src" --strip-components=1 --exclude='*/Documentation/*/*' --exclude='*/tools/testing/*' \
	--exclude='*/sound/*.[ch]' --exclude='*/drivers/gpu/*.[ch]' --exclude='*/drivers/media/*.[ch]'
cd "$src"
export ARCH=um
make -s KCONFIG_ALLCONFIG="$config" allnoconfig

# Kconfig drops in silence what it can't have.
grep '^CONFIG_' "$config" | grep -vxFf .config && {
	echo "build.sh: the kernel does not have the options above" >&2
	exit 1
}

make -j"$(nproc)" linux modules
make -s run-command KBUILD_RUN_COMMAND="scripts/package/install-extmod-build $out/headers"
# UML has the processor's headers too, which that script does not know of.
find arch/x86/Makefile.um arch/x86/include arch/x86/um -name '*.h' -o -name Makefile.um | tar -c -T - | tar -x -C "$out/headers"
cp .config "$out/headers/"
cp linux modules.builtin modules.order "$out/"
make -s kernelrelease >"$out/release"
cd "$out"
rm -rf "$src"
