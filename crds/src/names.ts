// SPDX-License-Identifier: Apache-2.0
// Names that several parts of Sealift share.

export const GROUP = 'sealift.dev';
export const VERSION = 'v1alpha1';
export const API_VERSION = `${GROUP}/${VERSION}`;

/** The RuntimeClass whose pods Sealift can move. */
export const RUNTIME_CLASS = 'sealift';

/** Annotations on pods and nodes; the table in docs/architecture.md says who writes which. */
export const annotations = {
  /** Target pod, and the request of a landing pod: `<namespace>/<MigrationRequest name>` of the one that made it. */
  migration: 'sealift.dev/migration',
  /** Target pod: `<namespace>/<RestoreRequest name>`. */
  restore: 'sealift.dev/restore',
  /** Target pod: UID of the request that it was created for. */
  requestUid: 'sealift.dev/request-uid',
  /** Target pod: name of the rxe device to create (the source's). */
  rdmaDevice: 'sealift.dev/rdma-device',
  /** Any pod: RNR timer code 0..31 that a held device sends to peers without a retry limit. */
  rnrTimer: 'sealift.dev/rnr-timer',
  /** Any pod: `rnr_retry` of its peers' queue pairs, 1..7; 7: no limit. Absent: its own queue pairs say it. */
  peerRnrRetry: 'sealift.dev/peer-rnr-retry',
  /** Any pod: `true`: its containers have the device of the RDMA connection manager (librdmacm); part of their bundles. */
  rdmaCm: 'sealift.dev/rdma-cm',
  /** Any pod with a controller that Sealift does not know: `AfterResume` or `BeforeHold` (docs/adr/0019). */
  handover: 'sealift.dev/controller-handover',
  /** Any pod: `migrate`: its eviction moves it; `evict`: its eviction evicts it, whatever a policy says. */
  eviction: 'sealift.dev/eviction',
  /** MigrationRequest that an eviction or a node's state has made: UID of the pod that it is for. */
  podUid: 'sealift.dev/pod-uid',
  /** Node: `host:port` of the agent's image receiver. */
  agentAddress: 'sealift.dev/agent-address',
  /** Node: its CPU features that programs may use (crds/src/cpu-features.ts); absent: not known. */
  cpuFeatures: 'sealift.dev/cpu-features',
  /** Node: how many completion vectors its RDMA devices have (crds/src/completion-vectors.ts); absent: not known. */
  completionVectors: 'sealift.dev/completion-vectors',
  /** Node: the security modules of its kernel that confine tasks, separated by commas, or `none`; absent: not known. */
  securityModules: 'sealift.dev/security-modules',
  /** Lease of an agent: how much memory its node has for pods that arrive (crds/src/memory.ts); absent: not known. */
  memory: 'sealift.dev/memory',
  /** Node: what keeps its agent from moving pods, or pods with RDMA, as a sentence; absent: nothing. */
  problem: 'sealift.dev/problem',
  /** Target pod: the addresses of its source that it keeps, separated by commas. */
  podIp: 'sealift.dev/pod-ip',
  /** Target pod: the addresses of its source in its further networks that it keeps, separated by commas. */
  fabricIp: 'sealift.dev/fabric-ip',
  /** Node: `<namespace>/<name>` of the network by which a pod that moves here keeps its address; absent: it does not. */
  podNetwork: 'sealift.dev/pod-network',
  /** Node: families of the addresses that pods get in that network, `IPv4`, `IPv6` or `IPv4,IPv6`; absent: not known. */
  podNetworkFamilies: 'sealift.dev/pod-network-families',
  /** Node, in place of these two: why pods that move here get other addresses. Absent: podNetwork is off. */
  podNetworkProblem: 'sealift.dev/pod-network-problem',
  /** Multus: the network that a pod has in the place of the cluster's own. */
  defaultNetwork: 'v1.multus-cni.io/default-network',
  /** Multus: the networks that a pod asks for, and those that it has. */
  networks: 'k8s.v1.cni.cncf.io/networks',
  networkStatus: 'k8s.v1.cni.cncf.io/network-status',
  /** The kubelet's, on the mirror pod of a static pod (kubernetes.io/docs/reference/labels-annotations-taints). */
  mirror: 'kubernetes.io/config.mirror',
  /** ReplicaSet controller: of several pods that are alike it deletes the one with the lowest cost first. */
  deletionCost: 'controller.kubernetes.io/pod-deletion-cost',
} as const;

export const labels = {
  /** Node: ABI of the node's driver, e.g. `rxe-10`; absent means no Sealift there. */
  driverAbi: 'sealift.dev/driver-abi',
  /** Lease of an agent, in the chart's namespace: the name of its node's Lease is `agent-<node>`. */
  agent: 'sealift.dev/agent',
  /** Node: the reason of `annotations.problem`, e.g. `DriverMissing`. */
  problem: 'sealift.dev/problem',
  /** MigrationRequest: what has made it, if no user has: `Eviction`, `Cordon` or `Taint`; `Drain`: `kubectl sealift drain`. */
  trigger: 'sealift.dev/trigger',
  /** Target pod: `target` until the decision is Committed. */
  role: 'sealift.dev/role',
  /** Target pod, for ever: `kept` if it has the addresses of its source in the cluster's network. */
  podIp: 'sealift.dev/pod-ip',
  /** Target pod, for ever: `kept` if it asks for the addresses that its source has in its further networks. */
  fabricIp: 'sealift.dev/fabric-ip',
  /** Pod of a StatefulSet, of its controller: the name of the ControllerRevision that it is made from. */
  revision: 'controller-revision-hash',
  /** Any pod: `ByName` if its controller, of a kind that Sealift does not know, finds it by its name. The policy on names selects by it. */
  handover: 'sealift.dev/controller-handover',
} as const;

/** The Lease that a node's agent renews. */
export const agentLease = {
  name: (node: string): string => `agent-${node}`,
  /** An agent that has renewed nothing for so long is taken for gone. */
  durationSeconds: 90,
  renewSeconds: 15,
} as const;

/** Types of pod conditions, written by the operator. */
export const podConditions = {
  /** Readiness gate of a target pod: True once the decision is Committed, and for ever after. */
  committed: 'sealift.dev/committed',
} as const;

export const finalizers = {
  /** On an active request: its deletion cancels it, and cleanup comes first. */
  active: 'sealift.dev/active',
  /** On a CheckpointRequest: the agent deletes the images first. */
  images: 'sealift.dev/images',
  /** On a Job's pod, of the Job controller: it counts the pod's end before the object goes. */
  jobTracking: 'batch.kubernetes.io/job-tracking',
} as const;

/** Server-side-apply field managers: each owns its own part of a status. */
export const fieldManagers = {
  operator: 'sealift-operator',
  sourceAgent: 'sealift-agent-source',
  targetAgent: 'sealift-agent-target',
  checkpointAgent: 'sealift-agent-checkpoint',
  decision: 'sealift-decision',
} as const;
