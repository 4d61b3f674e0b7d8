#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Checks the handover's model exhaustively, and that the check finds each seeded mistake.
# Usage: spec/check.sh [FAULTS]   (faults in one run, default 1)
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=$(dirname "$here")/build/model
faults=${1:-1} passed=0 failed=0

# verify NAME EXPECTED(0: no error, 1: an error) CPP-FLAG...
verify() {
	local name=$1 expected=$2 errors; shift 2
	mkdir -p "$out/$name"
	cd "$out/$name" || exit 2
	spin -a "-DFAULTS=$faults" "$@" "$here/handover.pml" > spin.log 2>&1 &&
		gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c > gcc.log 2>&1 &&
		./pan -m200000 > pan.log 2>&1
	errors=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log 2> /dev/null)
	if grep -q 'max search depth too small' pan.log; then errors=incomplete; fi
	if { [ "$expected" = 0 ] && [ "$errors" = 0 ]; } || { [ "$expected" = 1 ] && [ "${errors:-0}" = 1 ]; }; then
		passed=$((passed + 1)); echo "ok   $name ($(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1 states/p' pan.log | head -1), errors: $errors)"
	else
		failed=$((failed + 1)); echo "FAIL $name (errors: ${errors:-none reported}; see $out/$name)"
	fi
}

command -v spin > /dev/null || { echo "spin is missing: apt-get install spin" >&2; exit 2; }
verify handover 0
verify thaw-on-timeout 1 -DTHAW_ON_TIMEOUT
verify resume-before-decision 1 -DRESUME_BEFORE_DECISION
verify unlock-at-criu 1 -DUNLOCK_AT_CRIU
verify stop-at-once 1 -DSTOP_AT_ONCE
verify open-at-once 1 -DOPEN_AT_ONCE
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
