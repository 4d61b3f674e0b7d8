# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Run a case of stock_programs.list on the devices that are there, and write what came of it so that two runs can be compared.

# Seconds that a case and a file of Python tests may take, and that an end may live when the other has ended.
CASE_SECONDS=${CASE_SECONDS:-120}
PYTHON_SECONDS=${PYTHON_SECONDS:-2400}
GRACE_SECONDS=20
# Where Debian's rdma-core has its Python tests.
python_tests=/usr/share/doc/rdma-core

# settled: what programs print, without what no two runs have in common: numbers that are counted up or drawn (queue pairs, packets,
# keys, addresses of memory), times and rates. Addresses and identifiers stay: the interfaces have the same ones in both runs.
settled() {
	sed -E \
		-e '/Correlation coefficient/d' \
		-e 's/\b(QPN|PSN|RKey|VAddr|OUT|rkey|RKEY|addr|qpn|psn|raddr|lkey)([ :=]+)(0x)?[0-9a-fA-F]+\b/\1\2#/g' \
		-e 's/(^|[^0-9.:a-f])[0-9]+\.[0-9]+($|[^0-9.])/\1#\2/g; s/(^|[^0-9.:a-f])[0-9]+\.[0-9]+($|[^0-9.])/\1#\2/g' \
		-e 's/[-+]?\b(nan|inf)\b/#/g' \
		-e 's/[ \t]+/ /g; s/ $//' \
		-e '/^[a-z]+( [a-z]+)*( [0-9.#]+){6}$/s/ [0-9.#]+//g' # a step of cmtime and its times
}

# Waiting costs no process: with KASAN they are dear.
clock_file=$(mktemp -u)
mkfifo "$clock_file"
exec {clock}<> "$clock_file"
rm "$clock_file"
pause() { read -rt 0.2 -u "$clock"; }

# wait_for SECONDS COMMAND...
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $until ] || return 1
		pause
	done
}

# listening: whether a program waits for a peer, over TCP or, if CM is set, by the rdma_cm.
listening() {
	local file state
	for file in /proc/net/tcp /proc/net/tcp6; do
		while read -r _ _ _ state _; do [ "$state" != 0A ] || return 0; done < $file
	done
	[ -n "${CM:-}" ] && rdma resource show cm_id 2> /dev/null | grep -q 'state LISTEN'
}

alive() { kill -0 "$1" 2> /dev/null; }

# limited COMMAND: run it, with a time limit. timeout is the leader of a process group; a plain command has no shell of its own.
# shellcheck disable=SC2086
limited() {
	case $1 in
	*[\|\&\;\<\>\$\(]*) exec timeout --kill-after=5 "$CASE_SECONDS" bash -c "$1" ;;
	*) exec timeout --kill-after=5 "$CASE_SECONDS" $1 ;;
	esac
}

# begin FILE COMMAND: run it in the background. Sets begun. Errors go to a file of their own: where they stand between lines that a
# program's buffer keeps back is chance.
begin() {
	(limited "$2") > "$1" 2> "$1.err" < /dev/null &
	begun=$!
}

# ended_or_listens PID FILE: whether it has ended, waits for a peer, or says that it is ready. READY is what it says then.
ended_or_listens() {
	! alive "$1" || { if [ -n "${READY:-}" ]; then grep -q "$READY" "$2"; else listening; fi; }
}
ended() { ! alive "$1"; }

# stop PID: end what begin has begun, softly at first.
stop() {
	kill -TERM -- "-$1" 2> /dev/null
	wait_for 20 ended "$1" || kill -KILL -- "-$1" 2> /dev/null
}

# two_ends FOLDER SERVER CLIENT STOPPED: run both. A server that still waits when its client has ended is stopped after GRACE_SECONDS, at
# once if it never ends by itself (STOPPED=1).
two_ends() {
	local dir=$1 server status=0
	begin "$dir/server" "$2"
	server=$begun
	wait_for 120 ended_or_listens "$server" "$dir/server"
	(limited "$3") > "$dir/client" 2> "$dir/client.err" < /dev/null || status=$?
	echo "client: status $status" > "$dir/status"
	if [ "$4" = 1 ] || ! wait_for $GRACE_SECONDS ended "$server"; then
		stop "$server"
		wait "$server" 2> /dev/null
		echo "server: stopped when its client had ended" >> "$dir/status"
	else
		wait "$server"
		echo "server: status $?" >> "$dir/status"
	fi
}

# watched FOLDER COMMAND CHANGE: a program that only watches, while something changes.
watched() {
	begin "$1/server" "stdbuf -oL $2"
	wait_for 60 grep -q . "$1/server"
	bash -c "$3" > "$1/client" 2>&1
	stop "$begun"
	wait "$begun" 2> /dev/null
	echo "stopped" > "$1/status"
}

# python FOLDER FILES: rdma-core's own runner, one line for each test; a reason to skip and an error's last line belong to it.
# shellcheck disable=SC2086
python() {
	local status=0
	(cd $python_tests && timeout --kill-after=5 "$PYTHON_SECONDS" python3 -B tests/run_tests.py -v --dev sl_rxe_c --port 1 --gid 1 $2) \
		> "$1/server" 2>&1 < /dev/null || status=$?
	echo "status $status" > "$1/status"
	python_results < "$1/server" > "$1/client"
}

# python_results: NAME RESULT of each test, sorted. A test may print between its name and its result.
python_results() {
	awk '
		match($0, /^[a-z_0-9A-Z]+ \(tests\.[a-zA-Z_.0-9]+\)/) {
			name = substr($0, RSTART, RLENGTH)
			sub(/^[^(]*\(tests\./, "", name); sub(/\)$/, "", name)
		}
		/^(ERROR|FAIL): / { name = ""; failed = $0; sub(/^[A-Z]+: [^(]*\(tests\./, "", failed); sub(/\).*/, "", failed); next }
		failed != "" && /^[A-Za-z_.]+(Error|Exception|Timeout)[A-Za-z]*(:|$)/ { print failed, "says", $0; failed = "" }
		name != "" && /(^|\.\.\. )(ok|FAIL|ERROR|skipped .*|expected failure)$/ {
			result = $0; sub(/^.*\.\.\. /, "", result); print name, result; name = ""
		}
		END { if (name != "") print name, "did not end" }
	' | sort
}

# run_case FOLDER KIND COMMAND: run it; FOLDER/outcome is what has to be equal.
run_case() {
	local dir=$1 status=0 part
	mkdir -p "$dir"
	case $2 in
	one)
		(limited "$3") > "$dir/client" 2> "$dir/client.err" < /dev/null || status=$?
		echo "status $status" > "$dir/status"
		;;
	two) two_ends "$dir" "${3%% *} -d sl_rxe_b$(arguments "$3")" "${3%% *} -d sl_rxe_a$(arguments "$3") localhost" 0 ;;
	loop) two_ends "$dir" "${3%% *} -d sl_rxe_c$(arguments "$3")" "${3%% *} -d sl_rxe_c$(arguments "$3") localhost" 0 ;;
	cm) CM=1 two_ends "$dir" "${3% | *}" "${3##* | }" 0 ;;
	joins) READY=joined two_ends "$dir" "stdbuf -oL ${3% | *}" "${3##* | }" 0 ;;
	serve) CM=1 two_ends "$dir" "${3% | *}" "${3##* | }" 1 ;;
	events) watched "$dir" "${3% | *}" "${3##* | }" ;;
	python) python "$dir" "$3" ;;
	*) echo "no such kind of case: $2" > "$dir/status" ;;
	esac
	{
		echo "$(< "$dir/status")"
		for part in server server.err client client.err; do
			[ ! -s "$dir/$part" ] || [ "$2-$part" = python-server ] || echo "--- $part"$'\n'"$(< "$dir/$part")"
		done
	} | settled > "$dir/outcome.new"
	mv "$dir/outcome.new" "$dir/outcome"
}

# arguments COMMAND: what is behind its first word, with the space before it.
arguments() { case $1 in *' '*) echo " ${1#* }" ;; esac; }
