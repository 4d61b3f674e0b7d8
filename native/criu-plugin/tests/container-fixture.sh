# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For `container` and `volumes`: where containers of runc are dumped and restored without RDMA. It needs root, runc, criu and a root
# that is a mount's (not a chroot's). Whoever sources it has set `what` and `containers`, the containers' names.
# shellcheck disable=SC2154,SC2034

bin=$(cd "${1:-$(dirname "$0")}" && pwd)
runc=${RUNC:-runc}

skipped() { echo "skipped: $what: $1"; exit 0; }
[ "$(id -u)" = 0 ] || skipped 'not root'
for tool in "$runc" criu ip unshare; do
	command -v "$tool" > /dev/null || skipped "$tool is not installed"
done
# All mounts end with this namespace.
if [ -z "${SEALIFT_CONTAINER_TEST:-}" ]; then
	SEALIFT_CONTAINER_TEST=1 exec unshare --mount --propagation private "$0" "$bin"
fi

work=$(mktemp -d /var/tmp/sealift-container.XXXXXX)
cgroups=$work/cgroups
passed=0
failed=0
# In a chroot CRIU finds another root than the namespace's.
mount -t tmpfs tmpfs "$work" || skipped 'nothing can be mounted'
mkdir "$cgroups"
mount -t cgroup2 cgroup2 "$cgroups" || skipped 'there is no unified cgroup hierarchy'
mountpoint -q /sys || mount -t sysfs sysfs /sys
mount --bind "$cgroups" /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /run/netns
for name in $containers; do ip netns add "sl_$name"; done

cleanup() {
	for name in $containers; do
		"$runc" --root "$work/state" delete -f "$name"
		ip netns del "sl_$name"
	done > /dev/null 2>&1
	rmdir "$cgroups"/sealift-settings/*/ "$cgroups/sealift-settings" 2> /dev/null
	cd /
	umount -l "$work" && rmdir "$work"
	if [ -n "${disk:-}" ]; then
		for name in $(awk -v at="$disk/" 'index($5, at) == 1 { print $5 }' /proc/self/mountinfo); do umount -l "$name"; done
		rm -rf "$disk"
	fi
}
trap cleanup EXIT

check() { # NAME WANTED FOUND: two files
	if [ -s "$2" ] && diff "$2" "$3" > "$work/diff"; then
		echo "ok - $1"
		passed=$((passed + 1))
	else
		echo "not ok - $1"
		sed 's/^/    /' "$work/diff"
		grep -h Error "$work"/*.log | sed 's/^/    /'
		failed=$((failed + 1))
	fi
}

export CRIU_LIBS_DIR=$bin CRIU_CONFIG_FILE=$bin/criu.conf
options=(--image-path "$work/images" --work-path "$work" --manage-cgroups-mode ignore --file-locks)

finish() {
	[ -z "${KEEP:-}" ] || cp "$work"/*.log "$KEEP"
	echo "$passed passed, $failed failed"
	[ $failed = 0 ]
}
