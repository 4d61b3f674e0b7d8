#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs in the virtual machine: messages go to and fro between two queue pairs until someone stops it.
# When the messages are under way it writes where the module's sections are to `steady`, and goes on until there is a file `enough`.
# usage: traffic.sh MODULE PROGRAM BYTES [OPTION...]
#   PROGRAM  one of perftest's that measure latency, say ib_send_lat
#   OPTION   more of its options
set -eu

[ $# -ge 3 ] || { sed -n 's/^# usage: /usage: /p' "$0" >&2; exit 2; }
module=$1 program=$2 bytes=$3
shift 3
options=("$@")

# shellcheck source=native/rxe/tests/stock_ends.sh
. "$(dirname "$0")/stock_ends.sh"
PACKETS=200 # of these the first ones connect, and fill the caches of routes and neighbours

rm -f steady enough
up "$module" || { echo "traffic.sh: $module does not work here" >&2; exit 1; }

run() { "$program" -d "$1" -x 1 -F -s "$bytes" -n 10000000 "${options[@]}" -u 20 --tclass=$((class)) "${@:2}" >"$1.log" 2>&1 & }
run sl_rxe_a
server=$!
until ss -ltn | grep -q ':18515'; do sleep 0.2; kill -0 $server; done
run sl_rxe_b 127.0.0.1
client=$!
until [ "$(cat /sys/class/infiniband/sl_rxe_b/ports/1/hw_counters/sent_pkts)" -ge $PACKETS ]; do
	sleep 0.2
	kill -0 $client || { cat sl_rxe_b.log sl_rxe_a.log; exit 1; }
done
for section in /sys/module/rdma_rxe/sections/.text*; do echo "${section##*/} $(cat "$section")"; done >sections
mv sections steady
until [ -e enough ]; do
	kill -0 $client
	sleep 0.1
done
kill $client $server
wait $client $server || :
