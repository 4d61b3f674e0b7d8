// SPDX-License-Identifier: Apache-2.0
// The fields that Sealift reads of pods and nodes. Caches store these, not whole objects.
import { z } from 'zod';
import { ObjectMeta } from '../../crds/src/index.ts';

const OwnerReference = z.object({
  apiVersion: z.string().optional(),
  kind: z.string(),
  name: z.string(),
  uid: z.string().default(''),
  controller: z.boolean().optional(),
  blockOwnerDeletion: z.boolean().optional(),
});
export type OwnerReference = z.infer<typeof OwnerReference>;

const ContainerState = z.object({
  waiting: z.object({ reason: z.string().default(''), message: z.string().default('') }).optional(),
  running: z.object({ startedAt: z.string().nullish() }).optional(),
  terminated: z
    .object({
      exitCode: z.number().default(0),
      finishedAt: z.string().nullish(),
      reason: z.string().default(''),
      message: z.string().default(''),
    })
    .optional(),
});

const ContainerStatus = z.object({
  name: z.string(),
  containerID: z.string().default(''),
  imageID: z.string().default(''),
  ready: z.boolean().default(false),
  started: z.boolean().nullish(),
  restartCount: z.number().default(0),
  state: ContainerState.default({}),
  /** How the container's last run ended, if it was started again since. */
  lastState: ContainerState.default({}),
});
export type ContainerStatus = z.infer<typeof ContainerStatus>;

const PodCondition = z.object({
  type: z.string(),
  status: z.string(),
  reason: z.string().default(''),
  message: z.string().default(''),
  lastTransitionTime: z.string().nullish(),
});

const named = z.object({ name: z.string() });

const Toleration = z.object({
  key: z.string().default(''),
  operator: z.string().default('Equal'),
  value: z.string().default(''),
  effect: z.string().default(''),
});
export type Toleration = z.infer<typeof Toleration>;

const NodeRequirement = z.object({
  key: z.string(),
  operator: z.string(),
  values: z.array(z.string()).default([]),
});

const NodeSelectorTerm = z.object({
  matchExpressions: z.array(NodeRequirement).default([]),
  matchFields: z.array(NodeRequirement).default([]),
});
export type NodeSelectorTerm = z.infer<typeof NodeSelectorTerm>;

const NodeAffinity = z.object({
  requiredDuringSchedulingIgnoredDuringExecution: z
    .object({ nodeSelectorTerms: z.array(NodeSelectorTerm) })
    .optional(),
});

/** What the API server lets a pod ask of its node. */
export const PodScheduling = z.object({
  nodeSelector: z.record(z.string(), z.string()).default({}),
  affinity: z.object({ nodeAffinity: NodeAffinity.prefault({}) }).prefault({}),
  tolerations: z.array(Toleration).default([]),
});

/** A number, or the name of a container's port. */
const Port = z.union([z.number(), z.string()]);

/** The network probes; one that runs a program (`exec`) has none of these fields. */
const Probe = z.object({
  httpGet: z
    .object({
      port: Port,
      host: z.string().nullish(),
      httpHeaders: z.array(z.object({ name: z.string(), value: z.string().default('') })).nullish(),
    })
    .nullish(),
  tcpSocket: z.object({ port: Port, host: z.string().nullish() }).nullish(),
  grpc: z.object({ port: z.number() }).nullish(),
  timeoutSeconds: z.number().nullish(),
});

const Container = z.object({
  name: z.string(),
  image: z.string().optional(),
  volumeMounts: z.array(z.object({ mountPath: z.string() })).nullish(),
  ports: z
    .array(
      z.object({
        name: z.string().nullish(),
        containerPort: z.number(),
        hostPort: z.number().nullish(),
      }),
    )
    .nullish(),
  resources: z
    .object({
      requests: z.record(z.string(), z.unknown()).nullish(),
      limits: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
  livenessProbe: Probe.nullish(),
  readinessProbe: Probe.nullish(),
  startupProbe: Probe.nullish(),
  securityContext: z
    .object({
      privileged: z.boolean().nullish(),
      capabilities: z.object({ add: z.array(z.string()).nullish() }).nullish(),
    })
    .nullish(),
});

export const Pod = z.object({
  metadata: ObjectMeta.extend({ ownerReferences: z.array(OwnerReference).default([]) }),
  spec: z.object({
    nodeName: z.string().default(''),
    restartPolicy: z.string().nullish(),
    runtimeClassName: z.string().nullish(),
    hostname: z.string().nullish(),
    hostnameOverride: z.string().nullish(),
    setHostnameAsFQDN: z.boolean().nullish(),
    readinessGates: z.array(z.object({ conditionType: z.string() })).default([]),
    hostNetwork: z.boolean().default(false),
    hostPID: z.boolean().default(false),
    hostIPC: z.boolean().default(false),
    hostUsers: z.boolean().nullish(),
    shareProcessNamespace: z.boolean().nullish(),
    resourceClaims: z.array(named).default([]),
    containers: z.array(Container).default([]),
    initContainers: z.array(Container.extend({ restartPolicy: z.string().nullish() })).default([]),
    ephemeralContainers: z.array(named).default([]),
    /** Each volume keeps its source's field, e.g. `emptyDir`. */
    volumes: z.array(z.looseObject({ name: z.string() })).default([]),
    ...PodScheduling.shape,
  }),
  status: z
    .object({
      phase: z.string().default(''),
      reason: z.string().default(''),
      message: z.string().default(''),
      podIP: z.string().default(''),
      podIPs: z.array(z.object({ ip: z.string() })).default([]),
      /** The node on which pods of lower priority are being ended for this one. */
      nominatedNodeName: z.string().default(''),
      conditions: z.array(PodCondition).default([]),
      containerStatuses: z.array(ContainerStatus).default([]),
      initContainerStatuses: z.array(ContainerStatus).default([]),
    })
    .prefault({}),
});
export type Pod = z.infer<typeof Pod>;

export const Namespace = z.object({ metadata: ObjectMeta });
export type Namespace = z.infer<typeof Namespace>;

const NodeSystemInfo = z.object({
  kernelVersion: z.string().default(''),
  containerRuntimeVersion: z.string().default(''),
  kubeletVersion: z.string().default(''),
  /** Of the kernel: nodes that are containers of one machine (kind) have the same. */
  bootID: z.string().default(''),
});

const Taint = z.object({
  key: z.string(),
  value: z.string().default(''),
  effect: z.string().default(''),
});
export type Taint = z.infer<typeof Taint>;

export const Node = z.object({
  metadata: ObjectMeta,
  spec: z
    .object({ unschedulable: z.boolean().default(false), taints: z.array(Taint).default([]) })
    .prefault({}),
  status: z
    .object({
      conditions: z.array(z.object({ type: z.string(), status: z.string() })).default([]),
      addresses: z.array(z.object({ type: z.string(), address: z.string() })).default([]),
      nodeInfo: NodeSystemInfo.prefault({}),
    })
    .prefault({}),
});
export type Node = z.infer<typeof Node>;

export function isNodeReady(node: Node): boolean {
  return node.status.conditions.some((one) => one.type === 'Ready' && one.status === 'True');
}
