# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Debian trees by mmdebstrap. The mirror is whatever the machine's own apt sources name for Debian.

debian_mirror() {
	local uri
	# shellcheck disable=SC2016
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
	[ -n "$uri" ] || die "no Debian archive among the machine's apt sources (run apt-get update?)"
	echo "$uri"
}

debian_packages() { sed 's/#.*//' "$1" | tr -s ' \n' ','; }

# debian_tree DIR PACKAGE-FILE [MMDEBSTRAP-OPTION...]: a Debian 13 tree with the packages of the file.
debian_tree() {
	local dir=$1 packages=$2
	shift 2
	mmdebstrap --quiet --mode=root --variant=minbase --format=directory \
		--include="$(debian_packages "$packages" | sed 's/^,//;s/,$//')" \
		--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
		"$@" trixie "$dir" "$(debian_mirror)"
}
