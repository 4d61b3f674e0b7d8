#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# mpi-shell: becomes the one command that an mpi-agent sends. The connection ends with that, as ssh's does: what mpirun starts
# on a host has connections of its own.
if [ "${1:-}" = run ]; then
	read -r line
	exec /bin/sh -c "$line" </dev/null >&2
fi
printf '#!/bin/sh\nexec mpi-shell run\n' >/tmp/mpi-shell
chmod +x /tmp/mpi-shell
exec nc -l -p 2222 -e /tmp/mpi-shell
