# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# Names, addresses, sizes and paths of the kind cluster. Sourced after the lab's config.sh, whose libraries work with
# whatever these variables and functions say: the VM is the one node, number 1, of a network namespace of its own.

KIND_SRC=$CHECKOUT/e2e/kind
# All that kind-up makes is in here, but for what goes into the lab's cache.
KIND=${KIND:-$CHECKOUT/build/kind}
# A cluster that is whole has this file.
READY=$KIND/ready
KIND_CLUSTER=sealift
KIND_CONTROL_PLANE=$KIND_CLUSTER-control-plane
KIND_WORKERS="$KIND_CLUSTER-worker $KIND_CLUSTER-worker2"
KIND_NODES="$KIND_CONTROL_PLANE $KIND_WORKERS"
# The second Docker network: workers' eth1, the RDMA fabric. Pods have addresses of it that Docker hands to nobody.
KIND_FABRIC=sealift-fabric
KIND_FABRIC_SUBNET=10.99.0.0/16
KIND_FABRIC_RANGE=10.99.254.0/24
KIND_POD_SUBNET=10.87.0.0/16
KIND_API_PORT=6443
# Names of images that no registry serves.
KIND_REPOSITORY=sealift.local/kubernetes
# Another image of a kind node, e.g. one that kind publishes, where it can be had. Its containerd, runc and control plane
# are then its own. The cluster that is up keeps the one that it was made of.
KIND_IMAGE=${KIND_IMAGE:-$(cat "$KIND/image" 2>/dev/null || echo sealift.local/kind-node:dev)}

# The lab's own, before it is replaced: whether it is up.
LANE_LAB_NETNS=$LAB_NETNS

LAB_RUN=$KIND/run
LAB_PKI=$KIND/pki
LAB_NETNS=sealift-kind
LAB_HOST_IF=sealift-kind
LAB_API=10.78.0.1
LAB_HOST_IP=10.78.0.254
LAB_MAX_NODE=1
LAB_NODES=1
LAB_MEMORY_MIB=${KIND_MEMORY_MIB:-6144}
LAB_DISK_SIZE=16G
KIND_CPUS=${KIND_CPUS:-2}
# The first boot beside a busy lab takes ten minutes.
LAB_SSH_TRIES=900

# Parameters of the VM's kernel beyond the lab's. Where the machine is busy, the kernel's watchdog calls the emulated TSC unstable,
# and from then on each reading of the clock leaves the emulated CPU. Go's runtime sleeps for microseconds many times a second,
# which emulated timers make expensive; without high resolution it sleeps for a tick. Security modules without a policy hook
# each system call.
accel_kernel_args() {
	[ "$(accel_name)" = kvm ] || echo norandmaps tsc=reliable highres=off lsm=capability
}

node_ip() { echo "10.78.0.1$1"; }
node_pod_cidr() { echo "$KIND_POD_SUBNET"; }

log() { printf '%s kind: %s\n' "$(date -u +%H:%M:%S)" "$*" >&2; }
