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

# What cannot be moved is named before anything is held, the dump refuses it, and it can be dropped.
refuses() { # KIND
	local found
	if [ -x "$bin/node" ]; then
		found=$(inspected a) || { echo "the inspection failed: $found"; return 1; }
		[ -n "$found" ] || { echo "the inspection finds nothing of: $1"; return 1; }
		echo "time: $1: ${found:0:150}"
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

random_program() { # SEED
	local seed=$1 moves moment refused n
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
	looks_fine a || return 1
	# What was accepted may not fail any more.
	for n in 1 2; do
		sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
		dump a || { says dump none; return 1; }
		restore a || { says restore none; return 1; }
		held a && { echo 'the device is still held'; return 1; }
		works a && works b || { cat "$work"/[ab].out; return 1; }
	done
	kill -TERM "$(pid_of b)"
	ended a && ended b || { cat "$work"/[ab].out; return 1; }
	rmdir $cgroup 2> /dev/null
	return 0
}
