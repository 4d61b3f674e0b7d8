# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# What stock_programs.sh says of its cases, and the table of docs/stock-driver.md.

# came_to CASE: what a case that is the same on both drivers has come to.
came_to() {
	local file=$out/1/patched/${folders[$1]}/status
	if grep -q 'kernel has ended' "$file"; then
		echo 'ends the kernel'
	elif grep -q 'status 124' "$file"; then
		echo 'does not end'
	elif grep -qE 'status [1-9]' "$file"; then
		echo 'fails'
	else
		echo 'passes'
	fi
}

# rounds CASE: how often it has run on each driver.
rounds() { find "$out" -path "*/stock/${folders[$1]}" | wc -l; }

# report CASE...: a line for each.
report() {
	local n name passed=0 failed=0 again
	for n; do
		name="${kinds[n]} ${commands[n]}"
		again=
		[ "$(rounds "$n")" = 1 ] || again=" # differed at first; $(rounds "$n") rounds"
		if same "$n" && [ -z "${known[n]}" ]; then
			echo "ok - $name: $(came_to "$n") with both$again"
			passed=$((passed + 1))
		elif ! same "$n" && [ -n "${known[n]}" ]; then
			echo "ok - $name: differs, as it has to: ${known[n]}"
			passed=$((passed + 1))
		else
			echo "not ok - $name"
			[ -z "${known[n]}" ] || echo "    is the same, though it has to differ: ${known[n]}"
			diff -U 100 --label stock "$out/1/stock/${folders[n]}/outcome" --label patched "$out/1/patched/${folders[n]}/outcome" | sed 's/^/    /'
			failed=$((failed + 1))
		fi
	done
	echo "$passed passed, $failed failed"
}

# table CASE...
table() {
	local n program
	local -A passes=() fails=() differs=() programs=()
	local -a order=() known_ones=() failing=()
	for n; do
		[ "${kinds[n]}" != python ] || continue
		program=${commands[n]%% *}
		[ -n "${programs[$program]:-}" ] || order+=("$program")
		programs[$program]=1
		if ! same "$n"; then
			differs[$program]=$((${differs[$program]:-0} + 1))
			known_ones+=("$n")
		elif [ "$(came_to "$n")" = passes ]; then
			passes[$program]=$((${passes[$program]:-0} + 1))
		else
			fails[$program]=$((${fails[$program]:-0} + 1))
			failing+=("$n")
		fi
	done
	cat <<-'T'
		<!-- Written by native/rxe/tests/stock_programs.sh (make debug-stock-programs); do not edit. -->
		# The distribution's driver and this one, over rdma-core's programs

		The programs are those of Debian 13's packages, the cases those of `native/rxe/tests/stock_programs.list`. Each has run on the distribution's driver, then on
		Sealift's, under the debug kernel, without a move. Same: exit status and output of both ends, without times, rates and numbers that are drawn.
	T
	printf '\n%s cases of %s have run in this run.\n\n' $# "$(($(grep -c $'^[a-z]*\t' "$here/stock_programs.list") + $(python_files | wc -l)))"
	cat <<-'T'
		| program | passes with both | fails with both, with the same words | differs |
		|---|---|---|---|
	T
	for program in "${order[@]}"; do
		echo "| \`$program\` | ${passes[$program]:-0} | ${fails[$program]:-0} | ${differs[$program]:-0} |"
	done
	printf '\n## What differs\n\n'
	for n in "${known_ones[@]}"; do echo "- \`${commands[n]//|/\\|}\`: ${known[n]:-not explained}"; done
	[ ${#known_ones[@]} -gt 0 ] || echo 'Nothing.'
	printf '\n## What fails with both\n\n| case | first words |\n|---|---|\n'
	for n in "${failing[@]}"; do
		echo "| \`${commands[n]//|/\\|}\` | $(first_words "$n") |"
	done
	printf '\n## Python tests\n\n| file | pass | are skipped | fail | differ |\n|---|---|---|---|---|\n'
	for n; do
		[ "${kinds[n]}" != python ] || python_row "$n"
	done
}

# first_words CASE: the first line of its client, or else of its server, that is not a greeting.
first_words() {
	local file
	for file in client.err server.err client server; do
		grep -vhE '^(-+|\s*|\s*local address.*|.*waiting for client.*|\*.*|.*Test|.*: +(ON|OFF).*)$' "$out/1/patched/${folders[$1]}/$file" 2> /dev/null | head -n 1
	done | head -n 1 | sed 's/|/\\|/g'
}

# python_row CASE
python_row() {
	local ours=$out/1/patched/${folders[$1]}/client theirs=$out/1/stock/${folders[$1]}/client differ
	differ=0
	same "$1" || differ=$(diff "$theirs" "$ours" | grep -c '^>')
	echo "| ${commands[$1]// /, } | $(grep -c ' ok$' "$ours") | $(grep -c ' skipped ' "$ours") | $(grep -cE ' (FAIL|ERROR|did not end)$' "$ours") | $differ |"
}
