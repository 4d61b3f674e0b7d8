#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Compare two builds of the driver, the distribution's and this one: the same random programmes of verbs on each (transcript.c), and
# what comes of them. It replaces the loaded module: not on a node that is in use.
# The last line is `N passed, N failed`, a line for each programme; what differs is printed.
# usage: stock.sh BIN STOCK_MODULE MODULE [NUMBER [SEED]]
set -u

[ $# -ge 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
bin=$(cd "$1" && pwd)
modules=("$2" "$3")
number=${4:-60}
seed=${5:-1}
work=$(mktemp -d)
trap 'down; rm -rf "$work"' EXIT

# shellcheck source=native/rxe/tests/stock_ends.sh
. "$(dirname "$0")/stock_ends.sh"

for nth in 0 1; do
	up "${modules[nth]}" || { echo "stock.sh: ${modules[nth]} does not work here" >&2; exit 1; }
	"$bin/transcript" sl_rxe_a sl_rxe_b "$number" "$seed" > "$work/$nth" 2>&1
	grep -c '^programme .* ends with status 0$' "$work/$nth" > "$work/$nth.whole"
	down
done

passed=0
failed=0
for ((n = seed; n < seed + number; n++)); do
	for nth in 0 1; do
		sed -n "/^programme $n\$/,/^programme $n ends/p" "$work/$nth" > "$work/$nth.one"
	done
	if diff -U 6 --label stock "$work/0.one" --label patched "$work/1.one" > "$work/diff"; then
		echo "ok - programme $n"
		passed=$((passed + 1))
	else
		echo "not ok - programme $n"
		sed 's/^/    /' "$work/diff"
		failed=$((failed + 1))
	fi
done
echo "# $(grep -c ': posts [0-9]' "$work/0") requests, $(grep -c ': send [0-9]' "$work/0") completions; programmes that ended well: $(cat "$work/0.whole") with the distribution's driver, $(cat "$work/1.whole") with this one"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
