# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For `run`: rdma-core's ibv_ud_pingpong, as it is, moved as agents move it. It repeats no datagram and waits for ever if one is lost.
# shellcheck disable=SC2034,SC2154

pingpong() { # NAME ITERATIONS [SERVER]
	local index=0 gids="/sys/class/infiniband/sl_rxe_$1/ports/1/gids"
	until in_ns "sl_$1" grep -q ':ffff:0a63:' "$gids/$index"; do
		[ $((index += 1)) -lt 16 ] || { echo "sl_rxe_$1 has no IPv4 address"; return 1; }
	done
	# shellcheck disable=SC2016
	start "$1" sh -c 'echo $$ > "$1" && shift && exec "$@"' sh "$work/$1.pid" \
		ibv_ud_pingpong -d "sl_rxe_$1" -g $index -s 1024 -n "$2" ${3:+"$3"}
}
listens() { in_ns "sl_$1" ss -ltnH | grep -q ':18515'; }
# pingpong_pair SERVER CLIENT ITERATIONS
pingpong_pair() {
	local address=10.99.0.1
	[ "$1" = a ] || address=10.99.0.2
	rm -f "$work"/[abc].*
	# The switch may know the address at place c, from an earlier move, and a server speaks only when it is spoken to.
	in_ns sl_a bash -c 'echo > /dev/udp/10.99.0.2/9'
	pingpong "$1" "$3" && wait_for 20 listens "$1" && pingpong "$2" "$3" "$address" || return 1
	# it listens no more once its client has come; the output is in a buffer until the end
	wait_for 20 eval "! listens $1" || { cat "$work"/[ab].out; return 1; }
}
pingpong_ended() {
	wait_for "$1" grep -q 'iters in' "$work/a.out" && wait_for 20 grep -q 'iters in' "$work/b.out" && return
	cat "$work"/[ab].out
	return 1
}

# pingpong_move FROM TO: the program goes on in the first hold, as it does until an agent has frozen it.
pingpong_move() {
	local env_dump=(SEALIFT_SOCKET="$work/socket") env_restore=(SEALIFT_SOCKET="$work/socket" SEALIFT_GATE=token SEALIFT_CONTAINER=main)
	cat > "$work/open" <<- EOF
		ip netns exec sl_$2 "$bin/hold" sl_rxe_$2 hold-but-ud
		ip netns exec sl_$2 nft flush ruleset
		ip netns exec sl_$2 "$bin/hold" sl_rxe_$2 resume
	EOF
	rm -f "$work/socket"
	lock "$2"
	in_ns "sl_$2" "$bin/hold" "sl_rxe_$2" hold && in_ns "sl_$1" "$bin/hold" "sl_rxe_$1" hold-but-ud || return 1
	sleep 0.2
	in_ns "sl_$1" "$bin/hold" "sl_rxe_$1" hold || return 1
	dump a || { says dump none; return 1; }
	"$bin/agent" "$work/socket" token sh "$work/open" &
	pids+=($!)
	disown
	wait_for 5 test -S "$work/socket"
	lock "$1"
	restore "$2" || { says restore none; return 1; }
}

# ud_pingpong SERVER CLIENT: end a goes to c and comes back, in mid-run; both ends end well.
ud_pingpong() {
	local us ret
	# So many that they take some seconds, however fast this machine is.
	pingpong_pair "$1" "$2" 200 && pingpong_ended 60 || return 1
	us=$(sed -n 's/.* \([0-9]*\)[.0-9]* usec.iter/\1/p' "$work/a.out")
	pingpong_pair "$1" "$2" $((15000000 / (us + 1) + 200)) || return 1
	sleep 1
	pingpong_move a c && sleep 1 && pingpong_move c a && pingpong_ended 120
	ret=$?
	lock c
	in_ns sl_a nft flush ruleset
	return $ret
}

# An agent that holds the device in part only dumps nothing.
still_receives() {
	local env_dump=(SEALIFT_SOCKET=/nowhere)
	traffic 1000000 && in_ns sl_a "$bin/hold" sl_rxe_a hold-but-ud || return 1
	! dump a || { echo 'the dump went well'; return 1; }
	says dump not-held && held a && in_ns sl_a "$bin/hold" sl_rxe_a resume && goes_on a && goes_on b
}
