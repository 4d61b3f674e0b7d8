# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# Names, addresses, sizes and paths, for every script of the lab. Nothing here has side effects.

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
LAB_SRC=$CHECKOUT/e2e/lab
# All that the lab makes is in here. Remove it after lab-down to remove the lab.
LAB=${LAB:-$CHECKOUT/build/lab}
LAB_CACHE=$LAB/cache
LAB_RUN=$LAB/run
LAB_PKI=$LAB/pki

LAB_NETNS=sealift-lab
LAB_HOST_IF=sealift-lab
LAB_API=10.77.0.1
LAB_HOST_IP=10.77.0.254
LAB_API_PORT=6443
LAB_SERVICE_IP=10.96.0.1
LAB_SERVICE_CIDR=10.96.0.0/16

# Workers of a plain `lab-up`. A third VM can be a worker or a peer outside the cluster.
LAB_NODES=${LAB_NODES:-1 2}
LAB_MAX_NODE=3
# Major version of the nodes' containerd: 1 is Debian's, 2 the build that kind's nodes have.
LAB_CONTAINERD=${LAB_CONTAINERD:-1}
LAB_MEMORY_MIB=${LAB_MEMORY_MIB:-2048}
LAB_DISK_SIZE=8G
# Image archives with the layers below Sealift's own. They are imported into the nodes' disk when it is made, at native
# speed: an emulated node takes minutes. Only layers that a node lacks are sent to it later (load.sh).
LAB_SEED=${LAB_SEED-$CHECKOUT/build/images/node-base.tar $CHECKOUT/build/images/workloads-base.tar}

node_ip() { echo "10.77.0.1$1"; }
node_pod_cidr() { echo "10.88.$1.0/24"; }

log() { printf '%s lab: %s\n' "$(date -u +%H:%M:%S)" "$*" >&2; }
die() { log "$*"; exit 1; }

# node_js ARGUMENT...: the project's own Node, which runs TypeScript.
node_js() { "$CHECKOUT/node_modules/.bin/node" "$@"; }
