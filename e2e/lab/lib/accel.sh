# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The accelerator is KVM where it boots the nodes' kernel, else emulation. That /dev/kvm exists proves nothing, so the
# lab tries it.

# accel_args: QEMU's options for accelerator and CPU, one per line.
accel_args() {
	case $(accel_name) in
	kvm) printf '%s\n' -accel kvm -cpu host ;;
	# Five-level page tables make emulated page walks longer. QEMU emulates the fast string instructions byte by byte;
	# without these two flags kernel and C library copy in words. QEMU before 8.0 may put a register into EFLAGS at a
	# CMPXCHG16B, which the kernel's allocator uses where it is there: a node crashes about once a day (docs/adr/0035).
	tcg) printf '%s\n' -accel tcg,thread=multi -cpu max,la57=off,-erms,-fsrm,-cx16 ;;
	esac
}

# accel_kernel_args: parameters of the nodes' kernel. QEMU keeps translated code by virtual address. With random addresses
# it would translate all of a program's libraries again at each start, which is most of what a start costs.
accel_kernel_args() {
	[ "$(accel_name)" = kvm ] || echo norandmaps
}

accel_name() {
	if [ -n "${LAB_ACCEL:-}" ]; then
		echo "$LAB_ACCEL"
		return
	fi
	local kernel memo
	kernel=$(rootfs_dir)/vmlinuz
	memo=$LAB_CACHE/accel-$(cache_key "$(uname -r)" "$(grep -m1 '^model name' /proc/cpuinfo)" "$(qemu-system-x86_64 --version)" "$(stat -c %s "$kernel")")
	if [ ! -s "$memo" ]; then
		if [ -w /dev/kvm ] && accel_boots kvm host "$kernel"; then echo kvm >"$memo"; else echo tcg >"$memo"; fi
		log "accelerator: $(cat "$memo")"
	fi
	cat "$memo"
}

# accel_boots ACCELERATOR CPU KERNEL: whether the kernel boots. It has booted when it finds no root file system; it then
# restarts (panic=-1), and -no-reboot turns the restart into an exit.
accel_boots() {
	local console=$LAB_RUN/accel.console
	log "trying to boot with $1"
	# The braces redirect the shell's own message about a QEMU that aborts, too.
	{ timeout -k 1 20 qemu-system-x86_64 -no-user-config -nodefaults -display none -no-reboot -machine pc -accel "$1" -cpu "$2" \
		-m 256 -kernel "$3" -append 'console=ttyS0 panic=-1' -serial "file:$console" || true; } >"$LAB_RUN/accel.log" 2>&1
	grep -q 'Unable to mount root fs' "$console" 2>/dev/null
}
