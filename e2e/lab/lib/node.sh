# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Worker VMs. VM N is w<N>: eth0 on br0 (10.77.0.1N), eth1 on br1. Its disk is an overlay that ends with it.

# node_start N DISK [QEMU-OPTION...]: DISK is the read-only image below the overlay.
node_start() {
	local n=$1 below=$2
	shift 2
	proc_alive "w$n" && return 0
	local disk=$LAB_RUN/w$n.qcow2 boot role
	boot=$(rootfs_dir)
	role=$(cat "$LAB_RUN/w$n.role" 2>/dev/null || echo worker)
	rm -f "$disk"
	qemu-img create -q -f qcow2 -F "$(node_disk_format "$below")" -b "$below" "$disk"
	net_tap "w$n-0" br0
	net_tap "w$n-1" br1
	local -a accel
	mapfile -t accel < <(accel_args)
	proc_start "w$n" nsenter "--net=/run/netns/$LAB_NETNS" qemu-system-x86_64 -name "w$n" -no-user-config -nodefaults -display none \
		-machine pc "${accel[@]}" -smp 1 -m "$LAB_MEMORY_MIB" \
		-kernel "$boot/vmlinuz" -initrd "$boot/initrd" \
		-append "root=/dev/vda rw console=ttyS0 net.ifnames=0 mitigations=off fsck.mode=skip nowatchdog audit=0 apparmor=0 quiet $(accel_kernel_args) lab.n=$n lab.role=$role" \
		-drive "file=$disk,if=virtio,format=qcow2,cache=unsafe,discard=unmap" \
		-netdev "tap,id=cluster,ifname=w$n-0,script=no,downscript=no" \
		-device "virtio-net-pci,netdev=cluster,mac=52:54:00:77:00:1$n,romfile=" \
		-netdev "tap,id=fabric,ifname=w$n-1,script=no,downscript=no" \
		-device "virtio-net-pci,netdev=fabric,mac=52:54:00:77:01:1$n,romfile=" \
		-device virtio-rng-pci -serial "file:$LAB_RUN/w$n.console" \
		-monitor "unix:$LAB_RUN/w$n.monitor,server=on,wait=off" "$@"
}

# node_continue N: run a VM once QEMU listens and has read its memory from the snapshot.
node_continue() {
	local tries=600
	until node_monitor "$1" 'info status' | grep 'VM status' | grep -qv 'inmigrate'; do
		proc_alive "w$1" || die "w$1 ended: see $LAB_RUN/w$1.log"
		[ $((tries--)) -gt 0 ] || die "w$1 does not come out of its snapshot: see $LAB_RUN/w$1.log"
		sleep 0.2
	done
	node_monitor "$1" cont
}

node_disk_format() { case $1 in *.qcow2) echo qcow2 ;; *) echo raw ;; esac; }

# node_monitor N COMMAND: send one line to QEMU's monitor and print the answer, without prompts and echo.
node_monitor() {
	printf '%s\n' "$2" | socat -t 3600 - "UNIX-CONNECT:$LAB_RUN/w$1.monitor" 2>/dev/null | tr -d '\r' | sed -e '/^QEMU /d' -e '/^(qemu)/d'
}

node_stop() {
	ssh -F none -O exit -o "ControlPath=$LAB_RUN/w$1.ssh" "root@$(node_ip "$1")" 2>/dev/null || true
	proc_stop "w$1" 3
	rm -f "$LAB_RUN/w$1".{monitor,ssh,qcow2,role}
}

# node_ssh N [COMMAND...]: commands within two minutes share one connection, as a handshake takes an emulated guest
# seconds.
node_ssh() {
	local n=$1
	shift
	ssh -F none -q -i "$LAB_PKI/ssh" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o ConnectTimeout=30 \
		-o ControlMaster=auto -o ControlPersist=120 -o "ControlPath=$LAB_RUN/w$n.ssh" "root@$(node_ip "$n")" "$@"
}

# node_wait_ssh N: a try takes a second to a few.
node_wait_ssh() {
	local tries=${LAB_SSH_TRIES:-120}
	until node_ssh "$1" true </dev/null 2>/dev/null; do
		proc_alive "w$1" || die "w$1 ended: see $LAB_RUN/w$1.log and $LAB_RUN/w$1.console"
		[ $((tries--)) -gt 0 ] || die "w$1 does not answer: see $LAB_RUN/w$1.console"
		sleep 1
	done
}

node_set_clock() { node_ssh "$1" "date -u -s @$(date +%s.%N)" </dev/null >/dev/null; }
