# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# For `run`: random programs of verbs (e2e/workloads, random-verbs) through the agent's inspection, CRIU and the plugin.
# The side that moves runs in namespace a, the other one in b.
# shellcheck disable=SC2154,SC2034

cgroup=/sys/fs/cgroup/sealift-random

# What the inspection says of what namespace NAME has; without the archive's Node.js, nothing.
inspected() { # NAME
	local one
	for one in $(family_of "$(pid_of "$1")"); do echo "$one" > $cgroup/cgroup.procs || return; done
	(cd "$bin" && SEALIFT_ADDON=$bin/sealift.node ./node inspection.mjs "/var/run/netns/sl_$1" $cgroup)
}
looks_fine() { # NAME
	local found
	[ -x "$bin/node" ] || return 0
	found=$(inspected "$1") || { echo "the inspection failed: $found"; return 1; }
	[ -z "$found" ] || { echo "refused, though nothing is in the way: $found"; return 1; }
}

# side NAME SIDE SEED [PEER]
side() {
	local name=$1
	shift
	# shellcheck disable=SC2016
	start "$name" sh -c 'echo $$ > "$1" && shift && exec "$@"' sh "$work/$name.pid" "$bin/random-verbs" "$@" --files "$work"
	wait_for 20 test -s "$work/$name.pid" && adopt "$name"
}
# The line that the program has printed, after its line number FROM.
printed() { # NAME FROM PATTERN
	tail -n "+$2" "$work/$1.out" | grep -q "$3"
}
lines() { wc -l < "$work/$1.out"; }
works() { # NAME
	local from
	from=$(($(lines "$1") + 1))
	wait_for 60 printed "$1" "$from" '^progress [1-9]'
}

# How the inspection names what a program has that cannot be moved.
finding_of() { # KIND
	case $1 in
	uc) echo 'of type UC, an unreliable connection' ;;
	window) echo 'has a memory window' ;;
	group) echo 'in a multicast group' ;;
	cm) echo "librdmacm's connections" ;;
	freed) echo 'over memory that it has unmapped' ;;
	orphan) echo 'whose memory is registered as .* has ended' ;;
	esac
}

# What cannot be moved is named before anything is held, the dump refuses it, and it can be dropped.
refuses() { # KIND
	local found
	if [ -x "$bin/node" ]; then
		found=$(inspected a) || { echo "the inspection failed: $found"; return 1; }
		grep -q "$(finding_of "$1")" <<< "$found" || { echo "the inspection does not name: $1, but: $found"; return 1; }
	fi
	if dump a; then
		echo "the dump went well, with: $1"
		return 1
	fi
	says dump unsupported || return 1
	held a && { echo 'the device is still held'; return 1; }
	works a || return 1
	kill -USR1 "$(pid_of a)"
	wait_for 20 grep -q "^dropped $1" "$work/a.out"
}

ended() { # NAME
	wait_for 180 grep -q '^{' "$work/$1.out" && wait_for 20 gone "$(pid_of "$1")" && grep -q '"wrong":0}$' "$work/$1.out"
}

at_a_moment() { # MS
	sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
}
in_place() {
	dump a || { says dump none; return 1; }
	restore a || { says restore none; return 1; }
	! held a || { echo 'the device is still held'; return 1; }
}
goes_well() { # COMMAND...
	"$@" && works a && works b
}

random_program() { # SEED
	local seed=$1 moves moment refused
	rm -f "$work"/[ab].* "$work"/random-verbs.* /dev/shm/random-verbs.*
	mkdir -p $cgroup
	read -r moves moment < <("$bin/random-verbs" plan "$seed" | sed -n '1s/^seed .*: \(.*\) moves after \(.*\) ms$/\1 \2/p')
	if [ "$moves" = server ]; then
		side a server "$seed" && side b client "$seed" 10.99.0.1 || return 1
	else
		side b server "$seed" && side a client "$seed" 10.99.0.2 || return 1
	fi
	works a && works b || { cat "$work"/[ab].out; return 1; }
	refused=$(sed -n 's/^refused //p' "$work/a.out")
	[ "$refused" = nothing ] || refuses "$refused" || { cat "$work"/[ab].out; return 1; }
	# What is accepted now may not fail any more.
	looks_fine a || return 1
	at_a_moment "$moment"
	goes_well in_place || { cat "$work"/[ab].out; return 1; }
	looks_fine a || return 1
	at_a_moment "$moment"
	goes_well moved_to_c && kill -TERM "$(pid_of b)" && ended a && ended b
	local ret=$?
	[ $ret = 0 ] || cat "$work"/[ab].out
	back_from_c
	return $ret
}
