#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs once per boot, before Docker.
set -eu
echo kind >/proc/sys/kernel/hostname
ip link set lo up
# The interface appears when udev has loaded its driver. Its settings are the last of it: /sys has it a moment before.
tries=3000
while [ ! -e /proc/sys/net/ipv6/conf/eth0 ] && [ $((tries = tries - 1)) -gt 0 ]; do sleep 0.2; done
echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra
ip link set eth0 up
ip addr replace 10.78.0.11/24 dev eth0
ip route replace default via 10.78.0.1
