#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The first process of the debug kernel: run a job, look for reports of the kernel, end.
# The root is the nodes' Debian tree, read-only; this file is in a folder of the machine below, with
#   job                       bash script to run, in this folder
#   lib/modules               what /lib/modules is
#   out, rc, dmesg, kmemleak  what came of it
set -u
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount -t sysfs sysfs /sys
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /tmp
mount -t debugfs debugfs /sys/kernel/debug
cd "$(dirname "$0")" || exit 1
mount --bind lib/modules /lib/modules
ip link set lo up

bash job > out 2>&1 < /dev/null
echo $? > rc.new

# A leak is memory that nothing refers to twice in a row; what is younger than 5 s is not looked at.
leaks=/sys/kernel/debug/kmemleak
if [ -e $leaks ]; then
	sleep 6
	echo scan > $leaks
	sleep 1
	echo scan > $leaks
	cat $leaks > kmemleak
fi
dmesg > dmesg
mv rc.new rc
busybox poweroff -f
