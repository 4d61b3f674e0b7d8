# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# KVM where it truly boots the nodes' kernel, else emulation. /dev/kvm being there proves nothing, so it is tried.

# accel_args: QEMU's options for accelerator and CPU, one per line.
accel_args() {
	case $(accel_name) in
	kvm) printf '%s\n' -accel kvm -cpu host ;;
	# Five-level page tables only make emulated page walks longer; string instructions that a processor does at once are
	# emulated byte by byte, and without these flags kernel and C library copy in words.
	tcg) printf '%s\n' -accel tcg,thread=multi -cpu max,la57=off,-erms,-fsrm ;;
	esac
}

# accel_kernel_args: what the nodes' kernel is told. QEMU keeps translated code by virtual address: at an address of
# chance all of a program's libraries are translated anew whenever it starts, which is most of what a start costs.
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

# The kernel has booted when it misses its root file system and, told so, restarts; -no-reboot turns that into an exit.
# accel_boots ACCELERATOR CPU KERNEL
accel_boots() {
	local console=$LAB_RUN/accel.console
	log "trying to boot with $1"
	# The shell's own remark about a QEMU that aborts goes the way of QEMU's.
	{ timeout -k 1 20 qemu-system-x86_64 -no-user-config -nodefaults -display none -no-reboot -machine pc -accel "$1" -cpu "$2" \
		-m 256 -kernel "$3" -append 'console=ttyS0 panic=-1' -serial "file:$console" || true; } >"$LAB_RUN/accel.log" 2>&1
	grep -q 'Unable to mount root fs' "$console" 2>/dev/null
}
