// SPDX-License-Identifier: Apache-2.0
// The state in which a run has to end, once faults are over and time has passed: every request finished, one copy of the
// application running and heard by its peers, nothing orphaned. Each function names what is still wrong, for people.
import { annotations, isFinished, labels } from '../../crds/src/index.ts';
import { pods } from '../../kube/src/index.ts';
import { startOrder } from '../../node-agent/src/callers/request-lookup.ts';
import type { StoredObject } from './api/objects.ts';
import { decisionOf } from './api/rules.ts';
import type { Container, Machine } from './node/machine.ts';
import type { Simulation } from './simulation.ts';

const requestKinds = ['MigrationRequest', 'CheckpointRequest', 'RestoreRequest'];

/** Requests, pods and nodes that are not in their final state. */
export function unfinished(simulation: Simulation, deletedPods: ReadonlySet<string>): string[] {
  const { store, machines } = simulation;
  const out: string[] = [];
  for (const request of requestKinds.flatMap((kind) => store.all(kind))) {
    const which = `${request.kind} ${request.metadata.name}`;
    if (!isFinished(request)) out.push(`${which} has not finished`);
    if (request.kind !== 'CheckpointRequest' && (request.metadata.finalizers ?? []).length > 0) {
      out.push(`${which} keeps its finalizer`);
    }
    if (request.metadata.deletionTimestamp !== undefined) out.push(`${which} is being deleted`);
  }
  for (const pod of store.all('Pod')) out.push(...unfinishedPod(simulation, pod, deletedPods));
  for (const machine of machines.values()) out.push(...orphansOn(simulation, machine));
  return out;
}

function unfinishedPod(
  simulation: Simulation,
  pod: StoredObject,
  deletedPods: ReadonlySet<string>,
): string[] {
  const { metadata } = pod;
  const { name, uid, deletionTimestamp } = metadata;
  if (deletedPods.has(uid) || deletionTimestamp !== undefined)
    return [`pod ${name} is being deleted`];
  const out: string[] = [];
  const { [annotations.migration]: migration, [annotations.restore]: restore } =
    metadata.annotations ?? {};
  if (migration ?? restore) out.push(`pod ${name} has a target's annotation`);
  if (metadata.labels?.[labels.role] !== undefined) out.push(`pod ${name} has a target's label`);
  const containers = containersOf(simulation, uid);
  for (const wanted of startOrder(pods.parse(pod))) {
    const container = containers.find((one) => one.name === wanted);
    const which = `container ${wanted} of pod ${name}`;
    if (container?.state !== 'Running') out.push(`${which} is ${container?.state ?? 'not there'}`);
    else if (container.sandbox.lock !== 'none') out.push(`pod ${name} is locked`);
    else if (container.sandbox.device?.held !== false) out.push(`pod ${name} is held`);
    else if (container.restored && !container.sandbox.announced)
      out.push(`pod ${name} is not announced`);
    else if (container.sandbox.hidden) out.push(`pod ${name} is hidden`);
    else if (container.refusesExec) out.push(`${which} refuses exec`);
  }
  return out;
}

function orphansOn({ store }: Simulation, machine: Machine): string[] {
  const out: string[] = [];
  const podUids = new Set(store.all('Pod').map((pod) => pod.metadata.uid));
  for (const uid of machine.sandboxes.keys()) {
    if (!podUids.has(uid)) out.push(`node ${machine.name} keeps a sandbox of ${uid}`);
  }
  // Of a pod that was committed and lost before it ran, the images are the only copy: they stay as long as the request.
  const kept = new Set(
    [
      ...store.all('CheckpointRequest'),
      ...[...store.all('MigrationRequest'), ...store.all('RestoreRequest')].filter(isTargetLost),
    ].map(({ metadata }) => metadata.uid),
  );
  for (const id of machine.images.keys()) {
    if (!kept.has(id)) out.push(`node ${machine.name} keeps images of ${id}`);
  }
  return out;
}

function containersOf({ machines }: Simulation, podUid: string): Container[] {
  return [...machines.values()].flatMap((machine) => machine.containersOf(podUid));
}

interface MoveStatus {
  readonly source?: { readonly podName: string; readonly podUID: string };
  readonly target?: { readonly podName: string; readonly podUID?: string };
  readonly recovery?: { readonly restoreRequestName?: string };
}

/** A move leaves the pod that the decision is for, unless the user deleted it, and not the other one. */
export function wrongPods(
  simulation: Simulation,
  move: StoredObject | undefined,
  podName: string,
  deletedPods: ReadonlySet<string>,
): string[] {
  const { source, target, recovery } = (move?.status ?? {}) as MoveStatus;
  const isCommitted = decisionOf(move)?.outcome === 'Committed';
  const [winner, loser] = isCommitted ? [target, source] : [source, target];
  const name = winner?.podName ?? podName;
  // The restore that replaces a lost source may fail. Then no pod is left.
  const restoreName = recovery?.restoreRequestName;
  const isLost = restoreName !== undefined && !isRestored(simulation, restoreName);
  const isUidUnknown = winner?.podUID === undefined || restoreName !== undefined;
  const isDeleted = isUidUnknown ? deletedPods.size > 0 : deletedPods.has(winner.podUID);
  const out: string[] = [];
  if (!isLost && !isDeleted && !simulation.pod(name)) out.push(`pod ${name} is gone`);
  if (loser && simulation.pod(loser.podName)) out.push(`pod ${loser.podName} is left`);
  return out;
}

function isRestored({ store }: Simulation, name: string): boolean {
  const restore = store.all('RestoreRequest').find((one) => one.metadata.name === name);
  return decisionOf(restore)?.outcome === 'Committed' && !isTargetLost(restore);
}

function isTargetLost(restore: StoredObject | undefined): boolean {
  const conditions = (restore?.status?.['conditions'] ?? []) as { reason: string }[];
  return conditions.some(({ reason }) => reason === 'TargetLost');
}

/** What nodes may keep only as long as a request exists. */
export function nodeRecords({ machines }: Simulation): string[] {
  return [...machines.values()].flatMap(({ name, journal, work }) => [
    ...[...journal.keys()].map((file) => `node ${name} keeps the journal entry ${file}`),
    ...[...work].map((id) => `node ${name} keeps logs of ${id}`),
  ]);
}
