#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# step.sh STEP COMMAND...: run a command of the Makefile with the progress display (lib/progress.sh).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
for part in config progress; do
	# shellcheck source=/dev/null
	. "$here/lib/$part.sh"
done
[ $# -ge 2 ] || die "usage: $0 STEP COMMAND..."
progress_run "$@"
