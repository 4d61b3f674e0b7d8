#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# builder.sh up | run COMMAND... | kernel | path: the builder, a Debian 13 tree in which native parts are built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for part in config progress cache debian builder; do
	# shellcheck source=/dev/null
	. "$here/lib/$part.sh"
done

mkdir -p "$LAB_CACHE"
(
	flock -n 9 || { log "waiting for another command that makes the builder" && flock 9; }
	builder_up
) 9>"$LAB/builder.lock"

case ${1:-} in
up) ;;
run) shift && builder_run "$@" ;;
kernel) builder_kernel ;;
path) builder_dir ;;
*) die "usage: $0 up | run COMMAND... | kernel | path" ;;
esac
