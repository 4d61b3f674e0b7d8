// SPDX-License-Identifier: Apache-2.0
// How a run has to end once faults have stopped and time has passed: one runner, its peers released, nothing left behind.
import { annotations, isFinished, labels } from '../../crds/src/index.ts';
import { pods } from '../../kube/src/index.ts';
import { startOrder } from '../../node-agent/src/callers/request-lookup.ts';
import type { Stored } from './api/objects.ts';
import { decisionOf } from './api/rules.ts';
import type { Container, Machine } from './node/machine.ts';
import type { Simulation } from './world.ts';

const kinds = ['MigrationRequest', 'CheckpointRequest', 'RestoreRequest'];

/** @returns what is still open, for people; empty when all has ended as it should. */
export function open(world: Simulation, deleted: ReadonlySet<string>): string[] {
  const out: string[] = [];
  for (const request of kinds.flatMap((kind) => world.store.all(kind))) {
    const of = `${request.kind} ${request.metadata.name}`;
    if (!isFinished(request)) out.push(`${of} has not finished`);
    if (request.kind !== 'CheckpointRequest' && (request.metadata.finalizers ?? []).length > 0) {
      out.push(`${of} keeps its finalizer`);
    }
    if (request.metadata.deletionTimestamp !== undefined) out.push(`${of} is being deleted`);
  }
  for (const pod of world.store.all('Pod')) out.push(...openPod(world, pod, deleted));
  for (const machine of world.machines.values()) out.push(...openNode(world, machine));
  return out;
}

function openPod(world: Simulation, pod: Stored, deleted: ReadonlySet<string>): string[] {
  const { name, uid, deletionTimestamp } = pod.metadata;
  if (deleted.has(uid) || deletionTimestamp !== undefined) return [`pod ${name} is being deleted`];
  const out: string[] = [];
  const notes = pod.metadata.annotations ?? {};
  if (notes[annotations.migration] ?? notes[annotations.restore]) out.push(`pod ${name} is marked`);
  if (pod.metadata.labels?.[labels.role] !== undefined)
    out.push(`pod ${name} has a target's label`);
  const containers = containersOf(world, uid);
  for (const wanted of startOrder(pods.parse(pod))) {
    const container = containers.find((one) => one.name === wanted);
    const which = `container ${wanted} of pod ${name}`;
    if (container?.state !== 'Running') out.push(`${which} is ${container?.state ?? 'not there'}`);
    else if (container.sandbox.lock !== 'none') out.push(`pod ${name} is locked`);
    else if (container.sandbox.device?.held !== false) out.push(`pod ${name} is held`);
    else if (container.restored && !container.sandbox.announced)
      out.push(`pod ${name} is not announced`);
    else if (container.sandbox.hidden) out.push(`pod ${name} is hidden`);
  }
  return out;
}

function openNode(world: Simulation, machine: Machine): string[] {
  const out: string[] = [];
  const pods = new Set(world.store.all('Pod').map((pod) => pod.metadata.uid));
  for (const uid of machine.sandboxes.keys()) {
    if (!pods.has(uid)) out.push(`node ${machine.name} keeps a sandbox of ${uid}`);
  }
  const kept = new Set(world.store.all('CheckpointRequest').map(({ metadata }) => metadata.uid));
  for (const id of machine.images.keys()) {
    if (!kept.has(id)) out.push(`node ${machine.name} keeps images of ${id}`);
  }
  return out;
}

function containersOf(world: Simulation, podUid: string): Container[] {
  return [...world.machines.values()].flatMap((machine) => machine.containersOf(podUid));
}

interface Places {
  readonly source?: { readonly podName: string; readonly podUID: string };
  readonly target?: { readonly podName: string; readonly podUID?: string };
  readonly recovery?: { readonly restoreRequestName?: string };
}

/** What a move has to leave: the pod that was decided for, if nobody took it away, and not the other one. */
export function missing(
  world: Simulation,
  move: Stored | undefined,
  podName: string,
  deleted: ReadonlySet<string>,
): string[] {
  const { source, target, recovery } = (move?.status ?? {}) as Places;
  const isCommitted = decisionOf(move)?.outcome === 'Committed';
  const [one, other] = isCommitted ? [target, source] : [source, target];
  const name = one?.podName ?? podName;
  // What is made in the place of a source that was lost may fail, and then there is nothing left.
  const again = recovery?.restoreRequestName;
  const isLost = again !== undefined && !isRestored(world, again);
  const mayBe = one?.podUID === undefined || again !== undefined;
  const isTaken = isLost || (mayBe ? deleted.size > 0 : deleted.has(one.podUID));
  const out: string[] = [];
  if (!isTaken && !world.pod(name)) out.push(`pod ${name} is gone`);
  if (other && world.pod(other.podName)) out.push(`pod ${other.podName} is left`);
  return out;
}

function isRestored(world: Simulation, name: string): boolean {
  const restore = world.store.all('RestoreRequest').find((one) => one.metadata.name === name);
  return decisionOf(restore)?.outcome === 'Committed' && !isTargetLost(restore);
}

function isTargetLost(restore: Stored | undefined): boolean {
  const conditions = (restore?.status?.['conditions'] ?? []) as { reason: string }[];
  return conditions.some(({ reason }) => reason === 'TargetLost');
}

/** After the requests are gone too. */
export function leftInJournals(world: Simulation): string[] {
  return [...world.machines.values()].flatMap(({ name, journal, work }) => [
    ...[...journal.keys()].map((file) => `node ${name} keeps the journal entry ${file}`),
    ...[...work].map((id) => `node ${name} keeps logs of ${id}`),
  ]);
}
