// SPDX-License-Identifier: Apache-2.0
// Makes the pods of the cases and reads their state.
import { annotations, RUNTIME_CLASS } from '../../crds/src/index.ts';
import { apply, kubectl, kubectlJson } from './cluster.ts';
import { NotReachedError, until } from './wait.ts';

/** The workloads' image. In somebody's cluster it has to be where the nodes can pull it from. */
export const IMAGE = process.env['WORKLOADS_IMAGE'] ?? 'sealift.local/workloads:dev';
export const FABRIC = { namespace: 'default', name: 'fabric' };

/** The command of a container that does nothing. */
export const IDLE = ['/bin/sh', '-c', 'while :; do sleep 1; done'];

export interface PodOptions {
  readonly namespace: string;
  readonly name: string;
  readonly node?: string;
  /** Absent: the workloads' image. */
  readonly image?: string;
  readonly command: readonly string[];
  /** Address on the fabric network, without prefix length. Absent: no fabric network, no RDMA. */
  readonly address?: string;
  /** Prefix length of the address. Absent: 24. */
  readonly prefix?: number;
  readonly annotations?: Record<string, string>;
  /** Absent: sealift. Null: the cluster's default. */
  readonly runtimeClass?: null;
  readonly cpuLimit?: string;
  /** CPU request; also the limit, unless there is a `cpuLimit`. */
  readonly cpuRequest?: string;
  /** Capabilities of the main container besides IPC_LOCK. */
  readonly capabilities?: readonly string[];
  /** Name of a ConfigMap, mounted at /config. */
  readonly configMap?: string;
  /** Of the main container. */
  readonly livenessProbe?: object;
  /** What the pod contains besides its main container. */
  readonly extras?: PodExtras;
  /** Absent: Never. */
  readonly restartPolicy?: 'OnFailure';
}

export interface PodExtras {
  readonly initContainers: readonly object[];
  readonly containers: readonly object[];
  readonly volumes: readonly object[];
  /** Volume mounts of the main container. */
  readonly mounts: readonly object[];
}

export interface PodStatus {
  readonly name: string;
  readonly node: string;
  readonly phase: string;
  readonly ready: boolean;
  /** Of the main container. Undefined: it has not ended. */
  readonly exitCode: number | undefined;
  readonly restarts: number;
  readonly reason: string;
}

/**
 * Each address is used once per run, until all are used: pods of different cases do not share one. Runs at the same time begin
 * at different places.
 */
let lastAddress = 10 + ((process.pid * 53) % 240);
export function newAddress(): string {
  lastAddress = lastAddress >= 250 ? 11 : lastAddress + 1;
  return `10.99.0.${lastAddress}`;
}

/** The fabric network with the pod's address on it; nothing for a pod without one. */
function networksOf({ address, prefix = 24 }: PodOptions): Record<string, string> {
  if (address === undefined) return {};
  return { [annotations.networks]: JSON.stringify([{ ...FABRIC, ips: [`${address}/${prefix}`] }]) };
}

const capabilitiesOf = ({ capabilities = [] }: PodOptions): string[] => [
  'IPC_LOCK',
  ...capabilities,
];

export function podManifest(o: PodOptions): object {
  const mounts = [
    ...(o.configMap ? [{ name: 'config', mountPath: '/config' }] : []),
    ...(o.extras?.mounts ?? []),
  ];
  const volumes = [
    ...(o.configMap ? [{ name: 'config', configMap: { name: o.configMap } }] : []),
    ...(o.extras?.volumes ?? []),
  ];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: o.name,
      namespace: o.namespace,
      labels: { 'sealift-e2e': o.name },
      annotations: { ...networksOf(o), ...o.annotations },
    },
    spec: {
      ...(o.runtimeClass === null ? {} : { runtimeClassName: RUNTIME_CLASS }),
      ...(o.node === undefined ? {} : { nodeName: o.node }),
      restartPolicy: o.restartPolicy ?? 'Never',
      terminationGracePeriodSeconds: 5,
      enableServiceLinks: false,
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'main',
          image: o.image ?? IMAGE,
          imagePullPolicy: 'IfNotPresent',
          command: [...o.command],
          // A node of the lab has one CPU. The limit leaves some of it to the agent.
          resources: {
            limits: { cpu: o.cpuLimit ?? o.cpuRequest ?? '300m', memory: '256Mi' },
            requests: { cpu: o.cpuRequest ?? '10m' },
          },
          securityContext: { capabilities: { add: capabilitiesOf(o) } },
          ...(mounts.length > 0 ? { volumeMounts: mounts } : {}),
          ...(o.livenessProbe ? { livenessProbe: o.livenessProbe } : {}),
        },
        ...(o.extras?.containers ?? []),
      ],
      ...(o.extras ? { initContainers: o.extras.initContainers } : {}),
      ...(volumes.length > 0 ? { volumes } : {}),
    },
  };
}

interface RawPod {
  metadata: { name: string };
  spec: { nodeName?: string };
  status: {
    phase?: string;
    reason?: string;
    message?: string;
    conditions?: { type: string; status: string }[];
    containerStatuses?: {
      name: string;
      restartCount: number;
      state?: {
        waiting?: { reason?: string; message?: string };
        terminated?: { exitCode: number; reason?: string };
      };
    }[];
  };
}

export async function podStatus(namespace: string, name: string): Promise<PodStatus> {
  const raw = (await kubectlJson('-n', namespace, 'get', 'pod', name)) as RawPod;
  const container = raw.status.containerStatuses?.find((one) => one.name === 'main');
  const waiting = container?.state?.waiting;
  return {
    name: raw.metadata.name,
    node: raw.spec.nodeName ?? '',
    phase: raw.status.phase ?? 'Unknown',
    ready: raw.status.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false,
    exitCode: container?.state?.terminated?.exitCode,
    restarts: container?.restartCount ?? 0,
    reason: [raw.status.reason, raw.status.message, waiting?.reason, waiting?.message]
      .filter(Boolean)
      .join(' '),
  };
}

/** Creates the pod and waits until it runs. @throws NotReachedError when it fails or does not start */
export async function startPod(o: PodOptions, within = 240): Promise<PodStatus> {
  await apply(podManifest(o));
  return until(`pod ${o.name} runs`, { within, every: 2 }, async () => {
    const status = await podStatus(o.namespace, o.name);
    if (status.phase === 'Failed') {
      const log = await podLog(o.namespace, o.name);
      throw new NotReachedError(`pod ${o.name} ended: ${status.reason}\n${log.slice(-2000)}`);
    }
    if (status.ready || status.phase === 'Succeeded') return status;
    throw new Error(`${status.phase} ${status.reason}`);
  });
}

/** Its address in the cluster's network, as the kubelet reports it. */
export async function podIp(namespace: string, name: string): Promise<string> {
  const raw = await kubectlJson('-n', namespace, 'get', 'pod', name);
  const address = (raw as { status?: { podIP?: string } }).status?.podIP;
  if (address === undefined || address === '') throw new NotReachedError(`${name} has no address`);
  return address;
}

/** Names of the pods of a namespace, sorted. */
export async function podNames(namespace: string): Promise<string[]> {
  const list = (await kubectlJson('-n', namespace, 'get', 'pods')) as {
    items: { metadata: { name: string } }[];
  };
  return list.items.map((pod) => pod.metadata.name).sort();
}

/** Waits until the pod's main container has ended, with whatever exit status. */
export function waitUntilPodEnded(
  namespace: string,
  name: string,
  within: number,
): Promise<PodStatus> {
  return until(`pod ${name} ends`, { within, every: 2 }, async () => {
    const status = await podStatus(namespace, name);
    return status.exitCode === undefined ? undefined : status;
  });
}

export const podLog = (namespace: string, name: string): Promise<string> =>
  containerLog(namespace, name, 'main');

export const containerLog = (namespace: string, name: string, container: string): Promise<string> =>
  kubectl('-n', namespace, 'logs', name, '-c', container).catch(() => '');

export const execInPod = (namespace: string, name: string, line: string): Promise<string> =>
  kubectl('-n', namespace, 'exec', name, '-c', 'main', '--', '/bin/sh', '-c', line);

/** Sends a signal to the first process of the main container. */
export const signalPod = (namespace: string, name: string, sig: string): Promise<string> =>
  execInPod(namespace, name, `kill -${sig} 1`);
