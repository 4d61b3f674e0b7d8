# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Content-addressed directories. An entry has the hash of its input in its name, appears by rename, so that it is whole or
# absent, and never changes afterwards.

# cache_key TEXT...: 16 hex digits of a hash over the arguments. @PATH stands for the contents of a file or directory.
cache_key() {
	local arg
	for arg in "$@"; do
		case $arg in
		@*) [ -e "${arg#@}" ] || die "cache_key: no such file: ${arg#@}"
			(cd "$(dirname "${arg#@}")" && find "$(basename "${arg#@}")" -type f ! -name '*.test.ts' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) ;;
		*) printf '%s\n' "$arg" ;;
		esac
	done | sha256sum | cut -c1-16
}

# A key includes the shell functions that make the entry (declare -f). Comments are not part of that, names are.

# cache_dir NAME KEY: path of the entry, whether it exists or not.
cache_dir() { echo "$LAB_CACHE/$1-$2"; }

# cache_build NAME KEY FUNCTION: make the entry, as a step of that name (progress.sh), unless it is there. FUNCTION gets
# the directory to fill. Of older entries with the same name, the one used last stays, as people switch between branches.
cache_build() {
	local name=$1 key=$2 build=$3 dir tmp
	dir=$(cache_dir "$name" "$key")
	if [ -d "$dir" ]; then
		touch "$dir"
		return 0
	fi
	tmp=$dir.tmp
	rm -rf "$tmp"
	mkdir -p "$tmp"
	progress_run "$name" "$build" "$tmp"
	mv "$tmp" "$dir"
	cache_prune "$name" 2
}

# cache_missing NAME...: those of the names that have no entry at all, one per line.
cache_missing() {
	local name
	for name; do
		[ -n "$(find "$LAB_CACHE" -maxdepth 1 -regextype posix-extended -regex ".*/$name-[0-9a-f]{16}" -print -quit 2>/dev/null)" ] || echo "$name"
	done
}

cache_prune() {
	local name=$1 keep=$2
	find "$LAB_CACHE" -maxdepth 1 -regextype posix-extended -regex ".*/$name-[0-9a-f]{16}" -printf '%T@ %p\n' |
		sort -rn | tail -n "+$((keep + 1))" | cut -d' ' -f2- | xargs -r -d '\n' rm -rf
}
