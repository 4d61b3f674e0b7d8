#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The debug kernel: user-mode Linux, which runs as a process of this machine, at its speed, and needs no KVM.
# usage: debug-kernel.sh up | test | lane | fuzz SECONDS SEED [EPOCHS] | stock [NUMBER [SEED]] | programs [PATTERN] | run COMMAND
#   up    make it, unless it is in the lab's cache
#   test  run the driver's tests in it
#   fuzz  run the fuzzer in it; what the kernel reports is in build/native/debug-kernel
#   stock the same random programmes on the distribution's driver and on this one: what differs (../tests/stock.sh)
#   programs  rdma-core's programs on both drivers (../tests/stock_programs.sh)
#   run   run a command in it, say `rxe-tests/protocol sl_rxe_a 10.99.0.1 sl_b sl_b 10.99.0.2 meanwhile`
#   lane  some of the tests and a minute of the fuzzer, or, if it has not been made, say so
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lab=$here/../../../e2e/lab
for part in config progress cache debian builder rootfs; do
	# shellcheck source=/dev/null
	. "$lab/lib/$part.sh"
done

# Seconds of the fuzzer in the lane, the most that the lane's tests may take, and all of them.
LANE_FUZZ=60
LANE_SECONDS=1200
TESTS_SECONDS=5400
PROGRAMS_SECONDS=10800
# Its tests: all that sends hostile images and calls, and one of each other kind. All of them: make debug-test.
LANE_ONLY='^malformed$|^protocol$|takes its device along|^(traffic|ping-pong) .*both ends restored 10 times|fault point of hold|destroyed at once|may not hold|mapped'

kernel_key() { cache_key "@$here/config" "@$here/build.sh" "$(builder_kernel)" "$(declare -f kernel_build)"; }
kernel_dir() { cache_dir debug-kernel "$(kernel_key)"; }
kernel_build() { builder_run "$here/build.sh" /usr/src/linux-source-6.12.tar.xz "$here/config" "$1"; }

# The root for rdma-core's programs (programs.packages): the nodes' tree has no Python. The Python tests are among the package's documents,
# some of them packed.
programs_key() { cache_key "@$here/programs.packages" "$(declare -f programs_build debian_tree)"; }
programs_tree() { cache_dir rxe-programs "$(programs_key)"; }
programs_build() {
	debian_tree "$1" "$here/programs.packages" \
		--dpkgopt='path-include=/usr/share/doc/rdma-core/tests/*' \
		--customize-hook='rm -rf "$1"/var/cache/apt/* "$1"/var/lib/apt/lists/*'
	gunzip "$1"/usr/share/doc/rdma-core/tests/*.py.gz
	# Compiled once: the debug kernel has this tree read-only.
	chroot "$1" python3 -m compileall -q /usr/share/doc/rdma-core/tests
	mkdir -p "$1/usr/lib/modules"
}

up() {
	mkdir -p "$LAB_CACHE"
	"$lab/builder.sh" up
	cache_build debug-kernel "$(kernel_key)" kernel_build
	cache_build node-tree "$(rootfs_tree_key)" rootfs_build_tree
}

# The driver and its tests as they are now.
share=${DEBUG_KERNEL_DIR:-$CHECKOUT/build/native/debug-kernel}
prepare() {
	local kernel release sums
	kernel=$(kernel_dir)
	release=$(cat "$kernel/release")
	mkdir -p "$share/lib/modules/$release"
	cp "$kernel"/modules.* "$share/lib/modules/$release/"
	: >"$share/lib/modules/$release/modules.builtin.modinfo" # depmod asks for it
	sums=$(cache_key "@$here/../patches" "@$here/../src" "@$here/../uapi" "@$here/../build.sh" "$kernel")
	if [ "$(cat "$share/sums" 2>/dev/null)" != "$sums" ]; then
		builder_run env ARCH=um "$here/../build.sh" "$kernel/headers" /usr/src/linux-source-6.12.tar.xz "$share"
		echo "$sums" >"$share/sums"
	fi
	builder_run depmod -b "$share" "$release"
	builder_run make -s -C "$here/.." tests
	rm -rf "$share/rxe-tests"
	cp -r "$CHECKOUT/build/native/rxe-tests" "$here/init.sh" "$share/"
	cp "$CHECKOUT/docs/driver-matrix.md" "$share/rxe-tests/"
}

# Lines of the kernel's log that are faults, and leaks.
reports() {
	grep -aE 'BUG:|WARNING:|KASAN:|UBSAN:|Oops|general protection|unable to handle|refcount_t:|list_(add|del) corruption|ODEBUG:|INFO: (task|trying)|possible .* locking|inconsistent lock state|Call Trace:' \
		"$share/dmesg" || true
	cat "$share/kmemleak"
}

# run SECONDS COMMAND [ROOT]: boot, run the command in bash, show what it prints. Return: its status, or 1 if the kernel reports a fault.
# DEBUG_KERNEL_LSM names the security modules in use, instead of those of the configuration.
run() {
	local seconds=$1 root=${3:-$(rootfs_tree)} status=0 shown found
	rm -f "$share"/{rc,dmesg,kmemleak}
	printf '%s\n' "$2" >"$share/job"
	: >"$share/out"
	tail -n +1 -f "$share/out" --pid=$$ &
	shown=$!
	builder_run timeout --kill-after=10 "$seconds" "$(kernel_dir)/linux" "mem=${DEBUG_KERNEL_MEMORY:-768M}" \
		rootfstype=hostfs "rootflags=$root" ro con=null con0=null,fd:1 ssl=none \
		${DEBUG_KERNEL_LSM:+"lsm=$DEBUG_KERNEL_LSM"} init=/bin/bash -- -c "\"mount -t proc proc /proc; mount -t tmpfs tmpfs /run; mkdir /run/share; mount -t hostfs hostfs /run/share -o hostfs=$share; exec bash /run/share/init.sh\"" \
		>"$share/console" 2>&1 </dev/null || status=$?
	sleep 1
	kill "$shown"
	if [ "$status" = 124 ]; then
		echo "not ok - the debug kernel has not ended within $seconds s: see ${share#"$PWD/"}/out"
		return 1
	fi
	[ -s "$share/rc" ] || { echo "not ok - the debug kernel ended early, with status $status: see ${share#"$PWD/"}/console"; return 1; }
	found=$(reports)
	if [ -n "$found" ]; then
		echo "not ok - the debug kernel reports nothing: see ${share#"$PWD/"}/dmesg and kmemleak"
		head -n 20 <<<"$found" | sed 's/^/    /'
		return 1
	fi
	return "$(cat "$share/rc")"
}

namespaces='rdma system set netns exclusive && ip netns add sl_a && ip netns add sl_b &&
ip link add sl_a netns sl_a type veth peer name sl_b netns sl_b || exit 1
for n in a b; do ip -n sl_$n link set lo up; ip -n sl_$n link set sl_$n mtu 4500 up; done
ip -n sl_a addr add 10.99.0.1/24 dev sl_a; ip -n sl_b addr add 10.99.0.2/24 dev sl_b
modprobe -a ib_uverbs udp_tunnel ip6_udp_tunnel rdma_ucm && insmod rdma_rxe.ko &&
ip netns exec sl_a rdma link add sl_rxe_a type rxe netdev sl_a || exit 1'

# tests SECONDS
tests() {
	local start=$SECONDS status=0
	run "$1" "rdma system set netns exclusive; ONLY='${ONLY:-}' bash rxe-tests/run.sh rxe-tests rdma_rxe.ko" || status=1
	echo "# the driver's tests: $((SECONDS - start)) s"
	return $status
}

# labels SECONDS: credentials under Smack; the other tests run under AppArmor, which excludes it.
labels() {
	DEBUG_KERNEL_LSM=landlock,smack run "$1" "$namespaces
exec ip netns exec sl_a rxe-tests/protocol sl_rxe_a 10.99.0.1 sl_b sl_b 10.99.0.2 adopt"
}

# Add a run without a report to the list of them, and say how much this driver has stood in all of them.
fuzzed() {
	local driver
	driver=$(cat "$share/sums")
	sed -n "s/^ok fuzzer: /$driver /p" "$share/out" >>"$share/fuzzed"
	awk -v driver="$driver" '$1 == driver { calls += $2; runs++ }
		END { printf "# this driver: %d calls in %d runs without a report\n", calls, runs }' "$share/fuzzed"
}

# fuzz SECONDS SEED [EPOCHS]
fuzz() {
	local status=0
	run $(($1 + 600)) "$namespaces
exec ip netns exec sl_a rxe-tests/fuzz sl_rxe_a 10.99.0.1 sl_b sl_b 10.99.0.2 $*" || status=1
	[ $status = 1 ] || fuzzed
	echo "$((1 - status)) passed, $status failed"
	return $status
}

# The distribution's driver for the debug kernel, and what compares it with this one.
prepare_stock() {
	if [ ! -e "$share/stock/rdma_rxe.ko" ] || [ "$(cat "$share/stock/sums" 2>/dev/null)" != "$(kernel_key)" ]; then
		builder_run env STOCK=1 ARCH=um "$here/../build.sh" "$(kernel_dir)/headers" /usr/src/linux-source-6.12.tar.xz "$share/stock"
		kernel_key >"$share/stock/sums"
	fi
	cp "$here"/../tests/stock*.{sh,list} "$share/"
}

# stock [NUMBER [SEED]]
stock() {
	prepare_stock
	run "$TESTS_SECONDS" "exec bash ./stock.sh rxe-tests stock/rdma_rxe.ko rdma_rxe.ko $*"
}

# programs [PATTERN]: what a whole run has of cases is kept until that run has ended or something has changed, so that one that was
# ended goes on. Cases that a pattern picks always run.
programs() {
	local dir=programs of
	prepare_stock
	cache_build rxe-programs "$(programs_key)" programs_build
	of=$(cache_key "@$share/rdma_rxe.ko" "@$share/stock/rdma_rxe.ko" "@$here/../tests/stock_programs.list" "@$here/../tests/stock_case.sh" "$(programs_tree)")
	[ -z "${1:-}" ] || dir=programs-some
	[ "$dir" = programs ] && [ "$(cat "$share/$dir/of" 2>/dev/null)" = "$of" ] && [ ! -e "$share/$dir/whole" ] || rm -rf "${share:?}/$dir"
	mkdir -p "$share/$dir"
	echo "$of" >"$share/$dir/of"
	run "$PROGRAMS_SECONDS" "exec bash ./stock_programs.sh stock/rdma_rxe.ko rdma_rxe.ko $dir '${1:-}'" "$(programs_tree)" || return
	[ "$dir" != programs ] || cp "$share/programs/table.md" "$CHECKOUT/docs/stock-driver.md"
}

lane() {
	local status=0
	if [ ! -d "$(kernel_dir)" ] || [ ! -d "$(rootfs_tree)" ]; then
		echo "skipped: the driver under a debug kernel, which has not been made (make debug-kernel, about 20 minutes)"
		return
	fi
	prepare
	ONLY=${ONLY:-$LANE_ONLY}
	echo "skipped: under the debug kernel, the driver's tests but $ONLY (make debug-test runs all of them)"
	tests "$LANE_SECONDS" || status=1
	labels "$LANE_SECONDS" || status=1
	fuzz "$LANE_FUZZ" "${SEED:-1}" || status=1
	return $status
}

case ${1:-} in
up) up ;;
test)
	up
	prepare
	status=0
	tests "$TESTS_SECONDS" || status=1
	[ -n "${ONLY:-}" ] || labels "$TESTS_SECONDS" || status=1
	exit $status
	;;
fuzz)
	up
	prepare
	shift
	fuzz "$@"
	;;
stock)
	up
	prepare
	shift
	stock "$@"
	;;
programs)
	up
	prepare
	programs "${2:-}"
	;;
run)
	up
	prepare
	shift
	run "$TESTS_SECONDS" "$namespaces
exec ip netns exec sl_a $*"
	;;
lane) lane ;;
*) sed -n 's/^# usage: /usage: /p' "$0" >&2 && exit 2 ;;
esac
