# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For `run`: three network namespaces with an rxe device each, processes in them, dump and restore.
# shellcheck disable=SC2154

# A switch (sw); where the pod is dumped (a), its peer (b), where the pod is restored (c, with a's addresses).
port() { # port NAME MAC IPV4 IPV6
	ip netns add "sl_$1" || return 1
	ip link add "sl_$1" netns "sl_$1" address "$2" type veth peer name "p_$1" netns sl_sw || return 1
	ip -n sl_sw link set "p_$1" master sl_br up
	ip -n "sl_$1" link set lo up
	in_ns "sl_$1" sysctl -qw "net.ipv6.conf.sl_$1.accept_dad=0"
	[ "$1" != c ] || lock c
	ip -n "sl_$1" link set "sl_$1" up
	ip -n "sl_$1" addr add "$3" dev "sl_$1"
	ip -n "sl_$1" addr add "$4" dev "sl_$1" nodad
	in_ns "sl_$1" rdma link add "sl_rxe_$1" type rxe netdev "sl_$1"
}

# Nothing in, nothing out: as the node agent locks a target before the decision.
lock() {
	in_ns "sl_$1" nft -f - <<- EOF
		table inet sl {
			chain in { type filter hook input priority -450; policy drop; }
			chain out { type filter hook output priority -450; policy drop; }
		}
		table arp sl {
			chain in { type filter hook input priority -450; policy drop; }
			chain out { type filter hook output priority -450; policy drop; }
		}
	EOF
}

setup() {
	local n
	for n in a b c sw; do ip netns del sl_$n 2> /dev/null; done
	if [ -n "$module" ]; then
		modprobe -a ib_uverbs udp_tunnel ip6_udp_tunnel rdma_ucm || return 1
		rmmod rdma_rxe 2> /dev/null
		insmod "$module" || return 1
	fi
	rdma system show | grep -q 'netns exclusive' || {
		echo "run: needs 'rdma system set netns exclusive'" >&2
		return 1
	}
	ip netns add sl_sw && ip -n sl_sw link add sl_br type bridge && ip -n sl_sw link set sl_br up || return 1
	port a 02:00:00:99:00:01 10.99.0.1/24 fd99::1/64 &&
		port b 02:00:00:99:00:02 10.99.0.2/24 fd99::2/64 &&
		port c 02:00:00:99:00:01 10.99.0.1/24 fd99::1/64
}

uverbs() { in_ns "sl_$1" sh -c "echo /dev/infiniband/\$(ls /sys/class/infiniband/sl_rxe_$1/device/infiniband_verbs 2> /dev/null || basename \$(dirname \$(grep -lx sl_rxe_$1 /sys/class/infiniband_verbs/*/ibdev)))"; }
held() { in_ns "sl_$1" "$bin/hold" "sl_rxe_$1" query | grep -q held=1; }

# wait_for SECONDS COMMAND...
wait_for() {
	local until=$((SECONDS + $1))
	shift
	while ! "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $until ] || { echo "not within time: $*"; return 1; }
		sleep 0.1
	done
}

# start NAME COMMAND...: in namespace NAME, free of everything of this script
start() {
	local name=$1
	shift
	rm -f "$work/$name".*
	: > "$work/$name.out"
	# opened inside: CRIU must find the files' mounts
	# shellcheck disable=SC2016
	ip netns exec "sl_$name" setsid sh -c 'cd / && out=$1 && shift && exec "$@" < /dev/null >> "$out" 2>&1' \
		sh "$work/$name.out" "$@" &
	pids+=($!)
	disown
}
pid_of() { cat "$work/$1.pid"; }
# its pid may have become another's
adopt() { pids+=("$(pid_of "$1")"); }

progress() { cat "$work/$1.progress" 2> /dev/null || echo 0; }
goes_on() {
	local was
	was=$(progress "$1")
	wait_for "${2:-20}" eval "[ \$(progress $1) -gt $was ]" && return
	cat "$work/$1.out"
	return 1
}

# traffic REQUESTS: a and b talk to each other
traffic() {
	rm -f "$work"/[abc].*
	start a env "${env_a[@]}" "$bin/stream" sl_rxe_a "$work" a b 1 2 "$1"
	start b env "${env_b[@]}" "$bin/stream" sl_rxe_b "$work" b a 2 1 "$1"
	wait_for 30 test -s "$work/a.pid" && wait_for 30 test -s "$work/b.pid" || {
		cat "$work"/[ab].out
		return 1
	}
	adopt a
	adopt b
	goes_on a && goes_on b
}
finished() {
	wait_for 120 test -s "$work/a.closed" && wait_for 20 test -s "$work/b.closed" &&
		wait_for 10 grep -q requests "$work/a.out" && wait_for 10 grep -q requests "$work/b.out"
	local ret=$?
	sed 's/^\([ab]: .*requests.*\)/time: \1/' "$work/a.out" "$work/b.out"
	return $ret
}

# dump NAME [OPTION...], with the environment of $env_dump
dump() {
	local name=$1 pid family one
	shift
	pid=$(pid_of "$name")
	family=$(family_of "$pid")
	rm -rf "$work/images"
	mkdir "$work/images"
	nsenter -t "$pid" -n -m env SEALIFT_STATE="$work/images/state" "${env_dump[@]}" "$criu" dump --tree "$pid" --images-dir "$work/images" \
		--libdir "$plugins" --manage-cgroups=ignore --log-file dump.log -v4 "$@" || return
	reported dumped || return
	# CRIU does not wait for the end of those that it has killed, and their pids are needed again.
	# A child that is still there keeps its parent's number as well, as that of its process group.
	[[ " $* " = *' --leave-running '* ]] || for one in $family; do wait_for 10 gone "$one" || return; done
}

# A process and those that descend from it
family_of() {
	local child
	echo "$1"
	for child in $(cat "/proc/$1/task/"*/children 2> /dev/null); do family_of "$child"; done
}

gone() { ! kill -0 "$1"; }
# restore NAME, with the environment of $env_restore
restore() {
	in_ns "sl_$1" env SEALIFT_STATE="$work/images/state" SEALIFT_UVERBS="$(uverbs "$1")" "${env_restore[@]}" \
		"$criu" restore --images-dir "$work/images" --libdir "$plugins" --manage-cgroups=ignore \
		--restore-detached --log-file restore.log -v4 && reported detached
}
# reported STATE [CODE]: in the file that the agent reads
reported() {
	grep -qF "{\"state\":\"$1\"${2:+,\"code\":\"$2\"}" "$work/images/state" && return
	echo "not reported: $*; but:"
	cat "$work/images/state"
	return 1
}
why() { grep -ho 'sealift: .*' "$work/images/$1.log"; }

# says LOG CODE: that is the reason in the log and in the report
says() {
	why "$1" | grep -q "^sealift: $2: " && reported failed "$2" && return
	echo "no reason '$2' in $1.log, which says:"
	why "$1"
	tail -n 15 "$work/images/$1.log"
	return 1
}
