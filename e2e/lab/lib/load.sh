# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Image archives onto nodes. An emulated node imports slowly, so layers that it has already are not sent: a base that several
# images share, or all but the top layer of an image that was built again.

# load_archive ARCHIVE N...: import an archive on all named nodes at the same time.
load_archive() {
	local archive=$1 dir=$LAB_RUN/load.$$ n failed=''
	local -a loads=()
	shift
	[ -r "$archive" ] || die "load: cannot read $archive (make build writes the archives under build/images)"
	mkdir -p "$dir"
	tar -C "$dir" -xf "$archive" || die "load: $archive is no tar archive"
	for n; do
		load_node "$n" "$dir" &
		loads+=("$!:$n")
	done
	for n in "${loads[@]}"; do wait "${n%:*}" || failed="$failed w${n#*:}"; done
	rm -rf "$dir"
	[ -z "$failed" ] || die "loading $archive failed on$failed"
}

# load_node N DIR: DIR is the unpacked archive. Docker's format doesn't name files by digest, so all of it is sent.
load_node() {
	local n=$1 dir=$2
	if [ -f "$dir/oci-layout" ]; then
		load_present "$n" "$dir" >"$dir.w$n"
		load_send "$n" "$dir" --exclude-from="$dir.w$n" && rm -f "$dir.w$n" && return 0
		rm -f "$dir.w$n"
		log "w$n refused a partial archive: sending all of it"
	fi
	load_send "$n" "$dir"
}

# load_present N DIR: paths of the large blobs in DIR that the node's store has. Small blobs, which are manifests and
# configurations, are always sent: the import reads them from the archive.
load_present() {
	node_ssh "$1" 'ls /var/lib/containerd/io.containerd.content.v1.content/blobs/sha256' </dev/null | LC_ALL=C sort |
		LC_ALL=C comm -12 - <(find "$2/blobs/sha256" -type f -size +64k -printf '%f\n' | LC_ALL=C sort) |
		sed 's#^#./blobs/sha256/#'
}

# load_send N DIR [TAR-OPTION...]: send and import. The port is random, since other loads may run at the same time. TCP is
# not encrypted inside the lab, as that is slow for an emulated guest.
load_send() {
	local n=$1 dir=$2 port=$((20000 + RANDOM % 10000)) server status=0
	shift 2
	tar -C "$dir" "$@" -cf - . | net_exec socat -u - "TCP-LISTEN:$port,bind=$LAB_API,reuseaddr,accept-timeout=60" &
	server=$!
	node_ssh "$n" "socat -u TCP:$LAB_API:$port,retry=100,interval=0.2 - | ctr --namespace k8s.io images import --local --snapshotter overlayfs -" </dev/null || status=$?
	wait "$server" || status=$?
	return "$status"
}
