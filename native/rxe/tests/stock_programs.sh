#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Compare two builds of the driver, the distribution's and this one: rdma-core's programs, perftest and rdma-core's Python tests, as
# Debian's packages have them, on each (stock_programs.list), and what they print and end with. It replaces the loaded module: not on a
# node that is in use.
# What differs runs up to ROUNDS times on each driver, in turns: it is the same if both have had one outcome in common.
# The last line is `N passed, N failed`, a line for each case; of what differs both outcomes are shown.
# usage: stock_programs.sh STOCK_MODULE MODULE OUT [PATTERN]
#   OUT      folder for what came of each case, and table.md
#   PATTERN  the cases that match this extended regular expression only
set -u

[ $# -ge 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
modules=("$1" "$2")
drivers=(stock patched)
out=$3
pattern=${4:-}
ROUNDS=${ROUNDS:-3}
# shellcheck source=native/rxe/tests/stock_ends.sh
. "$here/stock_ends.sh"
# shellcheck source=native/rxe/tests/stock_case.sh
. "$here/stock_case.sh"
trap down_all EXIT

down_all() {
	ip link del sl_c 2> /dev/null
	down
	nft delete table ip stock 2> /dev/null
}

# up_all MODULE: the two ends, and sl_rxe_c, which is its own peer.
up_all() {
	down_all
	up "$1" || return 1
	# What programs send has no traffic class: it gets the one by which it is for this machine (stock_ends.sh) when it comes in.
	nft -f - <<-'N' || return 1
		table ip stock {
			chain incoming {
				type filter hook prerouting priority raw;
				iifname { "sl_a", "sl_b" } ip daddr { 10.99.0.1, 10.99.0.2 } ip dscp set 0x02
			}
		}
	N
	# Local routes that depend on the class do not make an address one that a socket may be bound to.
	sysctl -qw net.ipv4.ip_nonlocal_bind=1
	# The rdma_cm looks for a route from the device that a request came in by to its own address.
	ip route add 10.99.0.1 dev sl_a metric 1000 && ip route add 10.99.0.2 dev sl_b metric 1000 || return 1
	ip link add sl_c address 02:99:00:00:00:03 type veth peer name sl_d address 02:99:00:00:00:04 &&
		ip link set sl_c mtu 4500 up && ip link set sl_d mtu 4500 up &&
		ip addr add 10.99.3.1/24 dev sl_c && ip addr add fd99:3::1/64 dev sl_c nodad || return 1
	rdma link add sl_rxe_c type rxe netdev sl_c || return 1
	# Link-local addresses are tentative for a second, and not yet in the GID tables.
	wait_for 10 settled_addresses
}

settled_addresses() {
	local n
	[ -z "$(ip -6 addr show tentative)" ] || return 1
	for n in a:1 b:1 c:2; do
		case $(cat "/sys/class/infiniband/sl_rxe_${n%:*}/ports/1/gids/${n#*:}" 2> /dev/null) in '' | 0000:0000:0000:0000:0000:0000:0000:0000) return 1 ;; esac
	done
}

# keep DRIVER: the kernel's log and leaks so far are that driver's.
keep() {
	local leaks=/sys/kernel/debug/kmemleak
	dmesg > "$out/$1.dmesg"
	[ "$1" = stock ] || return 0
	# The debug kernel fails a run for its reports: those of the distribution's driver are told, but are no fault of this one.
	dmesg -C
	[ ! -e $leaks ] || { echo scan > $leaks; sleep 6; echo scan > $leaks; cat $leaks > "$out/$1.kmemleak"; echo clear > $leaks; }
}

# python_files: a case for each file of rdma-core's Python tests, and one for those of other providers than rxe: they say that they
# have no such device.
python_files() {
	local file others=
	for file in "$python_tests"/tests/test_*.py; do
		file=${file##*/}
		file=${file%.py}
		case $file in
		test_mlx5_* | test_efa* | test_cuda_*) others+=" $file" ;;
		*) printf 'python\t%s\n' "$file" ;;
		esac
	done
	printf 'python\t%s\n' "${others# }"
}

# The cases: kinds, commands, what is known to differ, and the name of each one's folder.
kinds=()
commands=()
known=()
folders=()
# What takes an interface down comes last: its routes go with it.
while IFS=$'\t' read -r kind command why; do
	case $kind in '' | '#'*) continue ;; esac
	[ -z "$pattern" ] || [[ "$kind $command" =~ $pattern ]] || continue
	kinds+=("$kind")
	commands+=("$command")
	known+=("$why")
	folder=$kind-${command//[^a-zA-Z0-9.]/_}
	folders+=("${folder:0:160}")
done <<< "$(grep -v ^events "$here/stock_programs.list"; python_files; grep ^events "$here/stock_programs.list")"

# run_round ROUND CASE...: those cases on both drivers, into OUT/ROUND/DRIVER.
run_round() {
	local round=$1 nth n left dir
	shift
	for nth in 0 1; do
		left=0
		for n; do [ -e "$out/$round/${drivers[nth]}/${folders[n]}/outcome" ] || left=1; done
		[ $left = 1 ] || continue
		up_all "${modules[nth]}" || { echo "stock_programs.sh: ${modules[nth]} does not work here" >&2; exit 1; }
		for n; do
			dir=$out/$round/${drivers[nth]}/${folders[n]}
			[ ! -e "$dir/outcome" ] || continue
			# One in which the kernel, or the run, has ended twice is not begun again.
			if [ -e "$dir/again" ]; then
				echo 'the kernel has ended twice in it' | tee "$dir/status" > "$dir/outcome"
				continue
			fi
			[ ! -e "$dir" ] || : > "$dir/again"
			SECONDS=0
			run_case "$dir" "${kinds[n]}" "${commands[n]}"
			echo "round $round, ${drivers[nth]}, $((n + 1)) of ${#commands[@]}, $SECONDS s, $(tr '\n' ' ' < "$dir/status"): ${kinds[n]} ${commands[n]}" >> "$out/progress"
		done
		down_all
		keep "${drivers[nth]}"
	done
}

# same CASE: whether both drivers have had one outcome in common.
same() {
	local a b
	for a in "$out"/*/stock/"${folders[$1]}"/outcome; do
		for b in "$out"/*/patched/"${folders[$1]}"/outcome; do
			! cmp -s "$a" "$b" || return 0
		done
	done
	return 1
}

mkdir -p "$out"
[ ${#commands[@]} -gt 0 ] || { echo "stock_programs.sh: no case matches $pattern" >&2; exit 2; }
all=("${!commands[@]}")
differ=("${all[@]}")
for ((round = 1; round <= ROUNDS && ${#differ[@]} > 0; round++)); do
	run_round $round "${differ[@]}"
	left=()
	for n in "${differ[@]}"; do same "$n" || [ -n "${known[n]}" ] || left+=("$n"); done
	differ=("${left[@]}")
done

# shellcheck source=native/rxe/tests/stock_table.sh
. "$here/stock_table.sh"
report "${all[@]}" | tee "$out/report"
table "${all[@]}" > "$out/table.md"
for driver in "${drivers[@]}"; do
	grep -qE 'BUG:|WARNING:|KASAN:|Oops' "$out/$driver.dmesg" && echo "# the kernel has reported something of the driver $driver: $out/$driver.dmesg"
done
[ -z "$pattern" ] && : > "$out/whole"
grep -q '^[0-9]* passed, 0 failed$' "$out/report"
