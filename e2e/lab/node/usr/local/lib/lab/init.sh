#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs once per boot, before containerd and kubelet. The VM's number and role come on the kernel's command line:
# lab.n=1 lab.role=worker|peer. A worker's eth1 (the fabric) has no address of its own: pods bring theirs. A peer, a
# machine outside the cluster, has one.
set -eu
n='' role=worker
# shellcheck disable=SC2013
for word in $(cat /proc/cmdline); do
	case $word in
	lab.n=*) n=${word#lab.n=} ;;
	lab.role=*) role=${word#lab.role=} ;;
	esac
done

echo "w$n" >/proc/sys/kernel/hostname
ip link set lo up
# The interfaces appear when udev has loaded their driver. Their settings are the last of it: /sys has them a moment before.
tries=100
while { [ ! -e /proc/sys/net/ipv6/conf/eth0 ] || [ ! -e /proc/sys/net/ipv6/conf/eth1 ]; } && [ $((tries = tries - 1)) -gt 0 ]; do sleep 0.2; done
for port in eth0 eth1; do
	# SLAAC and duplicate address detection have nothing to find here.
	echo 0 >/proc/sys/net/ipv6/conf/$port/accept_ra
	ip link set $port up
done
ip addr replace "10.77.0.1$n/24" dev eth0
ip route replace default via 10.77.0.1
[ "$role" = worker ] || ip addr replace "10.99.255.1$n/16" dev eth1

for other in 1 2 3; do
	[ "$other" = "$n" ] || ip route replace "10.88.$other.0/24" via "10.77.0.1$other"
done
nft -f /etc/kubernetes/service.nft
sed "s/@N@/$n/g" /usr/local/lib/lab/cni.conf.in >/etc/cni/net.d/00-multus.conf
cp "/etc/kubernetes/w$n.kubeconfig" /etc/kubernetes/kubelet.kubeconfig
cp "/etc/kubernetes/w$n.crt" /etc/kubernetes/kubelet.crt
cp "/etc/kubernetes/w$n.key" /etc/kubernetes/kubelet.key
mkdir -p /run/lab
printf 'LAB_NODE=w%s\nLAB_NODE_IP=10.77.0.1%s\n' "$n" "$n" >/run/lab/node.env
