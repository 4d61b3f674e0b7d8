// SPDX-License-Identifier: Apache-2.0
// Which pods can be checkpointed, and so migrated. Pure.
import {
  annotations,
  labels,
  peersOf,
  refuseShortRetryBudget,
  RUNTIME_CLASS,
} from '../../../crds/src/index.ts';
import type { ContainerStatus, Pod } from '../../../kube/src/index.ts';
import type { Refusal } from '../refusal.ts';
import { refuseHostName } from './host-name.ts';
import { controllerOf, namesRequest } from './ownership.ts';
import { noVolumeFacts, volumeRefusals, type VolumeFacts } from './volume-rules.ts';

/**
 * @param nodeTime by the clock of the pod's node, in milliseconds since the epoch; undefined: not known
 * @returns undefined for a pod that can be migrated, as far as its controller lets it.
 */
export function refusePod(
  pod: Pod | undefined,
  podName: string,
  nodeTime: number | undefined,
  known: Known = {},
): Refusal | undefined {
  const [first] = podRefusals(pod, podName, nodeTime, known);
  return first;
}

interface Known {
  readonly volumes?: VolumeFacts | undefined;
  /** A landing pod, and its request is asked: it still names the request that made it. */
  readonly isLanding?: boolean;
  /** It is to be stored, and stays where it is. */
  readonly isCheckpoint?: boolean;
}

/** Everything that keeps a pod from being migrated. */
export function* podRefusals(
  pod: Pod | undefined,
  podName: string,
  nodeTime: number | undefined,
  { volumes = noVolumeFacts, isLanding = false, isCheckpoint = false }: Known = {},
): Generator<Refusal> {
  if (!pod) {
    yield {
      reason: 'PodNotFound',
      message: `There is no pod ${podName} in this namespace. Create a new request with the name of a pod that exists.`,
    };
    return;
  }
  for (const one of [refuseKind(pod), isLanding ? undefined : refuseTarget(pod)]) {
    if (one) yield one;
  }
  yield* stateRefusals(pod, nodeTime);
  yield* shapeRefusals(pod);
  // A landing pod has lost its name already, by the rules of the release that made it: its second move gives it back.
  if (!isLanding && !isCheckpoint) yield* tieRefusals(pod);
  const hostName = isLanding ? undefined : refuseHostName(pod);
  if (hostName) yield hostName;
  yield* volumeRefusals(pod, volumes);
}

/** The sum of the containers' restart counts. */
export function restartsOf(pod: Pod): number {
  return pod.status.containerStatuses.reduce((sum, one) => sum + one.restartCount, 0);
}

/** Refuses peers whose retry budget is too short, and annotations that cannot be read. */
export function refusePeers(
  pod: Pod,
  timeouts: { readonly peerMarginMs?: number | undefined } = {},
): Refusal | undefined {
  const peers = peersOf(pod.metadata.annotations);
  return 'reason' in peers ? peers : refuseShortRetryBudget(peers, timeouts);
}

function refuseKind(pod: Pod): Refusal | undefined {
  if (pod.spec.runtimeClassName !== RUNTIME_CLASS) {
    return {
      reason: 'NotSealiftRuntime',
      message: `The pod does not run in Sealift's runtime. Create the pod with runtimeClassName: ${RUNTIME_CLASS}; the class cannot be changed later.`,
    };
  }
  return undefined;
}

function refuseTarget(pod: Pod): Refusal | undefined {
  if (pod.metadata.labels[labels.role] === undefined && !namesRequest(pod)) return undefined;
  const { [annotations.migration]: migration, [annotations.restore]: restore } =
    pod.metadata.annotations;
  return {
    reason: 'AnotherMigration',
    message: `Request ${migration ?? restore ?? 'of another kind'} still creates the pod. Create a new request when it has finished.`,
  };
}

function* stateRefusals(pod: Pod, nodeTime: number | undefined): Generator<Refusal> {
  if (pod.metadata.deletionTimestamp !== undefined) {
    yield {
      reason: 'PodNotRunning',
      message:
        'The pod is being deleted and cannot be migrated. Create a new request for another pod.',
    };
    return;
  }
  if (pod.status.phase !== 'Running') {
    yield {
      reason: 'PodNotRunning',
      message: `The pod is in phase ${pod.status.phase || 'Unknown'}. Create a new request when it runs.`,
    };
    return;
  }
  const resizing = resizeOf(pod);
  if (resizing !== undefined) {
    yield {
      reason: 'PodResizing',
      message: `The pod is being resized (${resizing}): its containers have other limits than its spec, and may not fit into those. Create a new request when that is over, or take the new resources back.`,
    };
  }
  const { containerStatuses, initContainerStatuses } = pod.status;
  const all = [...containerStatuses, ...initContainerStatuses];
  for (const { name } of movedContainers(pod)) {
    const status = all.find((one) => one.name === name);
    const loop = status && crashLoop(status, nodeTime);
    if (loop !== undefined) {
      yield {
        reason: 'ContainerCrashLooping',
        message: `Container ${name} ${loop}; its target would end in the same way. Find out why it ends (kubectl logs --previous), and create a new request when it runs steadily.`,
      };
      continue;
    }
    const problem = containerProblem(status);
    if (problem !== undefined) {
      yield {
        reason: 'ContainerNotRunning',
        message: `Container ${name} ${problem}; every container has to be running and ready. Wait until they are, then create a new request.`,
      };
    }
  }
}

/** A resize that its kubelet is at, or cannot end: memory is in use that the new limit would forbid. One that it has only put off is none. */
function resizeOf({ status }: Pod): string | undefined {
  const found = status.conditions.find(
    ({ type, status: value }) => type === 'PodResizeInProgress' && value === 'True',
  );
  return found && [found.type, found.message].filter((one) => one).join(': ');
}

type Container = Pod['spec']['containers'][number];

/** Sidecars are migrated with the other containers; other init containers have run. */
function movedContainers({ spec }: Pod): Container[] {
  const sidecars = spec.initContainers.filter((one) => one.restartPolicy === 'Always');
  return [...sidecars, ...spec.containers];
}

/** The kubelet's back-off: it doubles with every restart, up to five minutes. */
const firstBackOffMs = 10_000;
const longestBackOffMs = 300_000;

/**
 * A container runs steadily when it has run for longer than the kubelet's back-off after its next end. The kubelet writes when
 * it started: only the clock of the same node says for how long it has run.
 */
function crashLoop(status: ContainerStatus, nodeTime: number | undefined): string | undefined {
  const { waiting, running } = status.state;
  if (waiting?.reason === 'CrashLoopBackOff') {
    return `has ended ${status.restartCount + 1} times and waits for its next start (CrashLoopBackOff)`;
  }
  if (status.restartCount === 0 || typeof running?.startedAt !== 'string') return undefined;
  if (nodeTime === undefined) return undefined;
  const ranMs = nodeTime - Date.parse(running.startedAt);
  const steadyMs = Math.min(firstBackOffMs * 2 ** status.restartCount, longestBackOffMs);
  if (!(ranMs < steadyMs)) return undefined;
  const [ran, steady] = [ranMs, steadyMs].map((ms) => Math.max(0, Math.round(ms / 1000)));
  return `has been restarted ${status.restartCount} times and has run for ${ran} s since, not yet for ${steady} s`;
}

function containerProblem(status: ContainerStatus | undefined): string | undefined {
  if (!status) return 'has no status yet';
  if (status.state.waiting)
    return `is waiting (${status.state.waiting.reason || 'no reason given'})`;
  if (status.state.terminated)
    return `has ended (${status.state.terminated.reason || 'no reason given'})`;
  if (!status.state.running) return 'is in no known state';
  if (status.started === false) return 'has not passed its startup probe';
  if (!status.ready) return 'is not ready';
  return undefined;
}

/** Pods whose end ends others, by a label that their controller gives them: a move deletes the old pod's object. */
const tied: readonly { readonly label: string; readonly value?: string; readonly why: string }[] = [
  {
    label: 'leaderworkerset.sigs.k8s.io/name',
    why: 'its LeaderWorkerSet makes the whole group anew when a pod of it is deleted or started again, and the StatefulSet of its workers belongs to the leader. Sealift does not migrate such pods.',
  },
  {
    label: 'spark-role',
    value: 'driver',
    why: 'its executors belong to it, and the garbage collector deletes them with it. Sealift does not migrate such pods.',
  },
];

function* tieRefusals(pod: Pod): Generator<Refusal> {
  const { metadata } = pod;
  for (const { label, value, why } of tied) {
    const found = metadata.labels[label];
    if (found === undefined || (value ?? found) !== found) continue;
    yield { reason: 'UnsupportedPod', message: `The pod has the label ${label}=${found}: ${why}` };
  }
  const message = topologyProblem(pod) ?? workerProblem(pod);
  if (message !== undefined) yield { reason: 'UnsupportedPod', message };
}

/** JobSet's webhook wants all pods of such a Job to belong to the Job, and finds the first by its name. */
function topologyProblem({ metadata }: Pod): string | undefined {
  const [domain, selector] = ['exclusive-topology', 'node-selector'].map(
    (name) => metadata.annotations[`alpha.jobset.sigs.k8s.io/${name}`],
  );
  if (domain === undefined || selector !== undefined) return undefined;
  return `The pod's Job has the topology domain ${domain} of a JobSet to itself (annotation alpha.jobset.sigs.k8s.io/exclusive-topology): JobSet's webhook refuses most targets, and after a move of its first pod it lets no pod of the Job be made. Sealift does not migrate such pods.`;
}

/** The operator of an MPIJob whose launcher is worker 0 deletes workers by counts that begin one later than their names. */
function workerProblem({ metadata }: Pod): string | undefined {
  const { 'training.kubeflow.org/replica-index': index } = metadata.labels;
  const [, number] = /-worker-(\d+)$/.exec(metadata.name) ?? [];
  const isWorker = controllerOf({ metadata })?.kind === 'MPIJob' && number !== undefined;
  if (!isWorker || index !== String(Number(number) + 1)) return undefined;
  return `The pod is worker ${index} of an MPIJob whose launcher is a worker, too (runLauncherAsWorker): in the middle of a move its operator counts one worker too many, and deletes another one. Sealift does not migrate such pods.`;
}

function* shapeRefusals(pod: Pod): Generator<Refusal> {
  const { spec } = pod;
  const unsupported = (what: string): Refusal => ({
    reason: 'UnsupportedPod',
    message: `Sealift does not migrate pods with ${what}. Create the pod without it.`,
  });
  if (spec.hostNetwork) yield unsupported('hostNetwork');
  if (spec.hostPID) yield unsupported('hostPID');
  if (spec.hostIPC) yield unsupported('hostIPC');
  if (spec.shareProcessNamespace === true) yield unsupported('shareProcessNamespace');
  if (spec.resourceClaims.length > 0) yield unsupported('resourceClaims');
  if (spec.ephemeralContainers.length > 0) yield unsupported('ephemeral containers');
  if (spec.hostUsers === false) {
    const message =
      'Sealift does not migrate pods with hostUsers: false: its user and group IDs map to others on each node, and CRIU does not translate them. Create the pod without hostUsers.';
    yield { reason: 'UnsupportedPod', message };
  }
  for (const container of movedContainers(pod)) yield* containerRefusals(container);
}

/** What ties a container to one node. */
function* containerRefusals({ name, ports, resources }: Container): Generator<Refusal> {
  const hostPort = ports?.find((one) => one.hostPort)?.hostPort;
  if (hostPort) {
    yield {
      reason: 'UnsupportedPod',
      message: `Container ${name} has hostPort ${hostPort}: clients reach it at its node's address, which does not move with the pod. Create the pod without it, and use a Service.`,
    };
  }
  const names = Object.keys({ ...resources?.requests, ...resources?.limits });
  const device = names.find(isExtended);
  if (device === undefined) return;
  yield {
    reason: 'UnsupportedPod',
    message: `Container ${name} has resource ${device}, which a device plugin provides: the device and its state do not move with the pod. Create the pod without it. The RDMA device of a pod needs no such resource.`,
  };
}

/** Extended resources have a domain, and it is none of Kubernetes' own. */
function isExtended(resource: string): boolean {
  const [domain = '', name] = resource.split('/');
  return name !== undefined && !/(^|\.)kubernetes\.io$/.test(domain);
}
