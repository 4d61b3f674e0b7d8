# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# The image with applications that are built on verbs: UCX and Open MPI. Part of build.sh. Only cases that run them need it.

# What is taken, besides the libraries that these link: programs, the modules that UCX loads by itself, configuration, texts of
# messages, headers for programs of our own. UCX's modules for AMD's GPUs stay behind: without such a GPU they do nothing,
# and they link ROCm with a compiler, a quarter of a gigabyte.
APPLICATION_PROGRAMS=(usr/bin/ucx_perftest usr/bin/ucx_info usr/bin/mpirun.openmpi usr/bin/prte usr/bin/prted)
APPLICATION_MODULES=("$LIBDIR"/ucx/libuct_{ib,cma,rdmacm}.so.0 "$LIBDIR/ucx/libucs_fuse.so.0")
APPLICATION_DATA=(usr/bin/prterun etc/openmpi usr/share/openmpi usr/share/prte "$LIBDIR"/pmix2/{share,lib/pmix} "$LIBDIR/openmpi/include")

# linked ROOT FILE...: paths below ROOT of the libraries that the files link, directly or not.
linked() {
	local root=$1 file
	shift
	for file; do chroot "$root" /lib64/ld-linux-x86-64.so.2 --list "/$file"; done |
		sed -nE 's/.*[[:space:]]\/([^ ]+) \(0x.*/\1/p' | sort -u
}

# take FROM TO: copy the paths that are read, as they are, and what they are links to.
take() {
	local from=$1 to=$2 path
	while read -r path; do
		# Directories are links there: lib is usr/lib.
		path=$(realpath -s --relative-to="$from" "$(realpath "$from/$(dirname "$path")")/$(basename "$path")")
		mkdir -p "$to/$(dirname "$path")"
		cp -a "$from/$path" "$to/$(dirname "$path")/"
		[ ! -L "$from/$path" ] || realpath --relative-to="$from" "$from/$path" | take "$from" "$to"
	done
}

# applications_build DIR: a tree with what is taken, but for files that the workloads' tree has just the same.
applications_build() {
	local to=$1 full=$1.full base
	base=$(tree workloads)
	rm -rf "$full"
	PACKAGES=$here/applications.packages tree_build "$full"
	{
		printf '%s\n' "${APPLICATION_PROGRAMS[@]}" "${APPLICATION_MODULES[@]}" "${APPLICATION_DATA[@]}"
		linked "$full" "${APPLICATION_PROGRAMS[@]}" "${APPLICATION_MODULES[@]}"
		(cd "$full" && printf '%s\n' usr/share/doc/*/copyright)
	} | take "$full" "$to"
	rm -rf "$full"
	(cd "$to" && find . -type f -exec cmp -s {} "$base/{}" \; -delete)
	find "$to" -type d -empty -delete
}

applications_tree() {
	local key
	key=$(cache_key "@$here/applications.packages" "$(tree workloads)" "$(declare -f tree_build linked take applications_build)" \
		"${APPLICATION_PROGRAMS[*]} ${APPLICATION_MODULES[*]} ${APPLICATION_DATA[*]}")
	cache_build image-applications "$key" applications_build >&2
	cache_dir image-applications "$key"
}

image_applications() {
	local base files own
	base=$(tree workloads)
	files=$(applications_tree)
	own=$(stage applications)
	cp -a "$files/." "$own/"
	builder_run make -s -C e2e/workloads mpi MPI="$files/$LIBDIR"
	install "$BUILD/workloads/mpi-rounds" "$own/usr/bin/"
	install e2e/workloads/mpi/agent.sh "$own/usr/bin/mpi-agent"
	install e2e/workloads/mpi/shell.sh "$own/usr/bin/mpi-shell"
	rm -rf "${own:?}/$LIBDIR/openmpi/include"
	ln -s mpirun.openmpi "$own/usr/bin/mpirun"
	write applications "$(cache_key "$base" "@$own")" --layer "$base" \
		"$IMAGES/applications.tar" sealift.local/applications:dev "$own" /bin/sh
}
