#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The first process of the debug kernel: run a job, look for reports of the kernel, end.
# The root is the nodes' Debian tree, read-only; this file is in a folder of the machine below, with
#   job                       bash script to run, in this folder
#   lib/modules               what /lib/modules is
#   out, rc, dmesg, kmemleak  what came of it; boot is the log before the job
set -u
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
mount -t debugfs debugfs /sys/kernel/debug
cd "$(dirname "$0")" || exit 1
mount --bind lib/modules /lib/modules
ip link set lo up

leaks=/sys/kernel/debug/kmemleak

# What the kernel says and loses in its boot is not the job's.
dmesg > boot
dmesg -C
echo scan > $leaks
echo clear > $leaks
bash job > out 2>&1 < /dev/null
echo $? > rc.new

# A leak is memory that nothing refers to twice in a row; what is younger than 5 s is not looked at.
sleep 6
echo scan > $leaks
sleep 1
echo scan > $leaks
cat $leaks > kmemleak
dmesg > dmesg
mv rc.new rc
busybox poweroff -f
