#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh PROGRAM OUT: run bench/PROGRAM in the builder, in a network namespace of its own. LAB: directory of the lab.
set -euo pipefail
checkout=$(cd "$(dirname "$0")/../.." && pwd)
lab=${LAB:-$checkout/build/lab}
cd "$checkout"
# The builder starts its programs with an environment of its own.
settings=("SEALIFT_KUBE_BIN=$lab/bin")
for name in RUNS MIB NODES PODS REQUESTS MOVES BENCH_CHECKOUT; do
	[ -z "${!name:-}" ] || settings+=("$name=${!name}")
done
# Names of network namespaces are files in /run, and the builder is shared.
# shellcheck disable=SC2016
exec env LAB="$lab" e2e/lab/builder.sh run env "${settings[@]}" unshare --net --mount --propagation private \
	bash -euc 'mount -t tmpfs tmpfs /run; mkdir /run/netns; exec node "$@"' bench \
	"bench/$1" "$checkout" "$lab" "$2"
