#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each line of the file: pods' subnet of another node, and that node's name, which Docker resolves.
set -eu
while read -r subnet node; do
	tries=30
	until address=$(getent ahostsv4 "$node" | awk 'NR == 1 {print $1}') && [ -n "$address" ]; do
		[ $((tries = tries - 1)) -gt 0 ] || exit 1
		sleep 1
	done
	ip route replace "$subnet" via "$address"
done </etc/sealift-kind/routes
