# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Background processes. A pid file contains pid, start time and boot id, so that another process to which the kernel has
# given the same pid since is never taken for the lab's.

proc_start_time() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	# The command name is in brackets and may contain anything. The start time is field 22, the 20th after it.
	stat=${stat##*) }
	# shellcheck disable=SC2086
	set -- $stat
	[ "$1" != Z ] || return 1
	echo "${20}"
}

# proc_start NAME COMMAND...: run in the background, with output to $LAB_RUN/NAME.log. Does nothing if NAME runs already.
proc_start() {
	local name=$1 pid
	shift
	proc_alive "$name" && return 0
	# Descriptor 9 is the lab's lock: a daemon must not keep it.
	setsid "$@" >"$LAB_RUN/$name.log" 2>&1 </dev/null 9>&- &
	pid=$!
	disown "$pid"
	echo "$pid $(proc_start_time "$pid" || echo gone) $(cat /proc/sys/kernel/random/boot_id)" >"$LAB_RUN/$name.pid"
}

proc_pid() {
	local pid start boot
	read -r pid start boot 2>/dev/null <"$LAB_RUN/$1.pid" || return 1
	[ "$boot" = "$(cat /proc/sys/kernel/random/boot_id)" ] || return 1
	[ "$(proc_start_time "$pid")" = "$start" ] || return 1
	echo "$pid"
}

proc_alive() { proc_pid "$1" >/dev/null; }

# proc_stop NAME [SECONDS]: SIGTERM, and SIGKILL if the process still runs after 10 (or SECONDS) seconds.
proc_stop() {
	local name=$1 tries=$((${2:-10} * 10)) pid
	if pid=$(proc_pid "$name"); then
		kill "$pid" 2>/dev/null || true
		while proc_alive "$name" && [ $((tries--)) -gt 0 ]; do sleep 0.1; done
		! proc_alive "$name" || kill -KILL "$pid" 2>/dev/null || true
		while proc_alive "$name"; do sleep 0.1; done
	fi
	rm -f "$LAB_RUN/$name.pid"
}
