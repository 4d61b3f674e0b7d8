# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Progress of the steps that take long: what runs, what it waits for, how long it has run and usually takes.
# On a terminal one line is rewritten each second; elsewhere a line comes every PROGRESS_HEARTBEAT seconds.
# A step's output goes to a log, whose end is shown when the step fails. V=1 shows all of it at once instead.

PROGRESS_LOGS=$CHECKOUT/build/log
PROGRESS_HEARTBEAT=${PROGRESS_HEARTBEAT:-30}
# Lines of a log that a failure shows.
PROGRESS_TAIL=${PROGRESS_TAIL:-30}

# progress_table: a line for each step: name, usual seconds, what it makes, what it waits for. The times are of two cores
# with nothing else to do and of emulated nodes.
progress_table() {
	cat <<-'T'
		deps|15|Debian packages for this machine|the package mirror
		npm|30|Node.js packages|the npm registry
		image-node|5|base of the operator's and the agent's image|the package mirror
		image-workloads|10|base of the workloads' image|the package mirror
		builder|120|Debian tree with compilers, kernel headers and CRIU|the package mirror
		kubernetes|540|control plane, kubelet, kubectl, Multus and helm|Go modules, then the compiler
		etcd|45|etcd|Go modules, then the compiler
		runc|55|runc|Go modules, then the compiler
		operators|240|operators of JobSets, LeaderWorkerSets and MPIJobs|Go modules, then the compiler
		node-tree|150|the nodes' Debian tree with their kernel|the package mirror
		node-disk|45|the nodes' disk with their images|this machine's disk
		snapshot|240|first boot of both nodes, kept as a snapshot|the emulated nodes
		node-disk-containerd2|45|the nodes' disk, with containerd 2.x|this machine's disk
		snapshot-containerd2|240|first boot of both nodes with containerd 2.x, kept as a snapshot|the emulated nodes
		start|30|the lab, from its snapshot|the emulated nodes
		debug-kernel|1200|user-mode Linux with KASAN, lockdep and kmemleak|the compiler
		rxe-programs|200|rdma-core's programs and Python tests, for the debug kernel|the package mirror
		driver|60|kernel module rdma_rxe|the compiler
		native|45|CRIU plugin, shim, addon and workloads|the compiler
		images|20|image archives of operator, agent and workloads|this machine's disk
		image-applications|70|UCX and Open MPI with what they link|the package mirror
		applications|80|image archive with UCX and Open MPI|this machine's disk
		kind-kind|60|kind|Go modules, then the compiler
		kind-kubernetes|140|kubeadm and kube-proxy|Go modules, then the compiler
		kind-containerd|120|containerd 2.x|Go modules, then the compiler
		kind-multus|30|Multus, with a longer timeout|the compiler
		kind-crictl|120|crictl|Go modules, then the compiler
		kind-coredns|120|CoreDNS|Go modules, then the compiler
		kind-tree|60|the Debian tree of kind's nodes|the package mirror
		kind-image|60|the node image with the control plane's images|this machine's disk
		kind-machine-tree|150|the Debian tree of kind's VM|the package mirror
		kind-machine|90|the VM's disk, with the node image in Docker|this machine's disk
		kind-cluster|120|the cluster, by kind|Docker
		kind-snapshot|900|first boot of the VM and the cluster in it, kept as a snapshot|the emulated VM
		kind-start|60|the kind cluster|the emulated VM, from its snapshot
	T
}

# progress_row STEP: its line of the table, nothing for a step that the table lacks.
progress_row() { progress_table | grep "^$1|" || true; }

# progress_span SECONDS: a duration without needless digits, e.g. 40 s, 9 min.
progress_span() { if [ "$1" -lt 90 ]; then echo "$1 s"; else echo "$((($1 + 30) / 60)) min"; fi; }

# progress_say TEXT: print a line with the time of day, in place of the line that is rewritten.
progress_say() {
	! progress_terminal || printf '\r\033[K' >&2
	printf '%s %s\n' "$(date -u +%H:%M:%S)" "$1" >&2
}

progress_terminal() { [ -t 2 ] && [ "${TERM:-dumb}" != dumb ]; }

progress_clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# progress_plan STEP...: what is about to be made, how long that usually takes, and where the output goes.
progress_plan() {
	local step seconds what waits total=0
	[ $# -gt 0 ] || return 0
	echo "To be made once, with the usual times:" >&2
	for step; do
		IFS='|' read -r _ seconds what waits < <(progress_row "$step") || die "no usual time is known of step $step"
		printf '  %-16s %6s  %s (waits for %s)\n' "$step" "$(progress_span "$seconds")" "$what" "$waits" >&2
		total=$((total + seconds))
	done
	echo "Together about $(progress_span "$total"). The output goes to ${PROGRESS_LOGS#"$PWD/"}; V=1 shows it here." >&2
}

# progress_line TEXT LAST WIDTH: both on one line. Of LAST, the last line of output, the end stays: compilers' command lines
# end with the file's name.
progress_line() {
	local text=$1 last=$2 room=$(($3 - ${#1} - 2))
	[ ${#last} -le "$room" ] || last=...${last:${#last}-room+3}
	[ -z "$last" ] || [ "$room" -lt 10 ] || text="$text: $last"
	echo "${text:0:$3}"
}

# progress_tick STEP LOG USUAL: print the elapsed time now and then, until standard input ends.
progress_tick() {
	local step=$1 log=$2 usual=$3 started=$SECONDS period=$PROGRESS_HEARTBEAT text last status columns
	! progress_terminal || period=1
	while
		status=0
		read -r -t "$period" || status=$?
		[ "$status" -gt 128 ]
	do
		text="$step: $(progress_clock $((SECONDS - started)))${usual:+, usually $(progress_span "$usual")}"
		last=
		# A compiler may be silent for minutes: an old line would name what has long been done.
		if [ $(($(date +%s) - $(stat -c %Y "$log"))) -le 10 ]; then
			last=$(tail -c 2000 "$log" | tr '\r' '\n' | tr -dc '[:print:]\n' | grep -v '^ *$' | tail -n 1) || last=
		fi
		if progress_terminal; then
			columns=$(stty size <&2 2>/dev/null | cut -d' ' -f2) || columns=
			[ "${columns:-0}" -gt 0 ] || columns=80
			printf '\r\033[K%s' "$(progress_line "$text" "$last" $((columns - 1)))" >&2
		else
			progress_say "$(progress_line "$text" "$last" 110)"
		fi
	done
}

# progress_run STEP COMMAND...: run a command or function as a step, in a subshell with errexit. All that it prints is
# the step's output. When it fails, the shell that has called exits with its status.
progress_run() {
	local step=$1 log=$PROGRESS_LOGS/${1//\//-}.log started=$SECONDS usual='' what='' waits='' status tick ticker took
	local show=${V:-0}
	shift
	IFS='|' read -r _ usual what waits < <(progress_row "$step") || true
	progress_say "$step${what:+ ($what)}${usual:+: usually $(progress_span "$usual")}${waits:+, waits for $waits}"
	# Not "|| status=$?": that would switch errexit off in all of the command.
	if [ "$show" != 0 ]; then
		set +e
		(
			set -euo pipefail
			"$@"
		) >&2
		status=$?
		set -e
	else
		mkdir -p "$PROGRESS_LOGS"
		: >"$log"
		# The ticker ends when its standard input does, even if this shell is killed. The command and what it leaves
		# running must not keep that open.
		exec {tick}> >(progress_tick "$step" "$log" "$usual")
		ticker=$!
		set +e
		(
			set -euo pipefail
			"$@"
		) >"$log" 2>&1 {tick}>&-
		status=$?
		set -e
		exec {tick}>&-
		wait "$ticker" || true
	fi
	took=$(progress_clock $((SECONDS - started)))
	if [ "$status" = 0 ]; then
		progress_say "$step: done in $took"
		return 0
	fi
	progress_say "$step: failed after $took with status $status"
	if [ "$show" = 0 ]; then
		tail -n "$PROGRESS_TAIL" "$log" | sed 's/^/  | /' >&2
		echo "All of its output is in $log." >&2
	fi
	exit "$status"
}
