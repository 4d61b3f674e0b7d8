#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A virtual machine for the driver's tests: an emulated CPU, no network, a directory shared with it.
# usage: vm.sh start | run COMMAND... | stop
#   start  boot the kernel, initrd and disk in VM_BOOT; changes to the disk are thrown away
#   run    run a command in the guest as root, in the shared directory; its output and exit code are vm.sh's.
#          VM_TIMEOUT (seconds, default 900) bounds it
#   VM_BOOT  directory with vmlinuz, initrd and disk.img (raw ext4), say a node-disk-* of the lab's cache
#   VM_DIR   directory of the machine's own files; VM_DIR/share is /share in the guest
#   VM_APPEND  more kernel parameters
#   VM_CPUS  default 1; races between the driver and a process need 2
#   VM_ARGS  more arguments of QEMU
set -euo pipefail

dir=${VM_DIR:?"the machine's own directory"}
share=$dir/share
die() { echo "vm.sh: $*" >&2; exit 1; }
alive() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }

# The guest has no service to talk to: its init runs one file after the other from the shared directory.
agent() {
	cat <<'AGENT'
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev 2> /dev/null
mkdir -p /dev/pts /run /tmp
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t debugfs debugfs /sys/kernel/debug
ip link set lo up
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd /share
: > ready
while sleep 0.1; do
	[ -e job ] || continue
	mv job running
	bash running > out 2>&1 < /dev/null
	echo $? > rc.new
	mv rc.new rc
done
AGENT
}

start() {
	local boot=${VM_BOOT:?"a directory with vmlinuz, initrd and disk.img"} tries=1200 disk
	alive && die "it runs already"
	disk=$(cd "$boot" && pwd)/disk.img
	mkdir -p "$share"
	rm -f "$share"/{job,running,rc,ready} "$dir/disk.qcow2"
	agent >"$share/agent"
	qemu-img create -q -f qcow2 -F raw -b "$disk" "$dir/disk.qcow2"
	qemu-system-x86_64 -name rxe-tests -no-user-config -nodefaults -display none -machine pc \
		-accel tcg -cpu max,la57=off,-erms,-fsrm -smp "${VM_CPUS:-1}" -m "${VM_MEMORY_MIB:-1024}" \
		-kernel "$boot/vmlinuz" -initrd "$boot/initrd" \
		-append "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off nowatchdog norandmaps fsck.mode=skip ${VM_APPEND:-} init=/bin/sh -- -c \"mount -t proc proc /proc; modprobe -a 9pnet_virtio 9p; mkdir -p /share; mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /share; exec /bin/bash /share/agent\"" \
		-drive "file=$dir/disk.qcow2,if=virtio,format=qcow2,cache=unsafe" \
		-virtfs "local,path=$share,mount_tag=share,security_model=none,multidevs=remap" \
		-device virtio-rng-pci -serial "file:$dir/console" -pidfile "$dir/pid" -daemonize ${VM_ARGS:-}
	until [ -e "$share/ready" ]; do
		alive || die "it ended: see $dir/console"
		[ $((tries--)) -gt 0 ] || die "it does not boot: see $dir/console"
		sleep 0.1
	done
}

run() {
	local tries=$((${VM_TIMEOUT:-900} * 10))
	alive || die "it does not run"
	rm -f "$share/rc"
	printf '%s\n' "$*" >"$share/job.new"
	mv "$share/job.new" "$share/job"
	until [ -e "$share/rc" ]; do
		alive || die "it ended: see $dir/console"
		[ $((tries--)) -gt 0 ] || { cat "$share/out"; die "no end after ${VM_TIMEOUT:-900} s"; }
		sleep 0.1
	done
	cat "$share/out"
	return "$(cat "$share/rc")"
}

stop() {
	alive || return 0
	kill "$(cat "$dir/pid")"
	rm -f "$dir/disk.qcow2"
}

case ${1:-} in
start | stop) "$1" ;;
run) shift && run "$@" ;;
*) sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2 ;;
esac
