#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh PROGRAM OUT: run bench/PROGRAM in the builder, in a network namespace of its own. LAB: directory of the lab.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/../.." && pwd)
lab=${LAB:-$checkout/build/lab}
cd "$checkout"
# shellcheck disable=SC2016
exec env LAB="$lab" e2e/lab/builder.sh run unshare --net --mount --propagation private bash -euc '
	# Names of network namespaces are files in here, and the builder is shared.
	mount -t tmpfs tmpfs /run
	mkdir /run/netns
	export RUNS="$1" MIB="$2" NODES="$3" SEALIFT_KUBE_BIN="$4/bin" BENCH_CHECKOUT="$8"; program=$5 checkout=$6 out=$7
	exec node "$program" "$checkout" "$4" "$out"
' bench "${RUNS:-5}" "${MIB:-64}" "${NODES:-}" "$lab" "bench/$1" "$checkout" "$2" "${BENCH_CHECKOUT:-}"
