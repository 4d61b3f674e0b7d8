// SPDX-License-Identifier: Apache-2.0
// Before the target is created: the source's agent says how much memory the pod has, and only nodes that have it stay among those
// that the scheduler chooses from. The status then says how much, so that other requests leave it alone. Pure.
//   1. wait for what the source's agent reports; one of an earlier version reports none, and then nothing is asked for
//   2. leave out nodes that lack it, or name others that have it
//   3. record it in status.target.memory; the queue lets nobody else have it meanwhile (moves/move-queue.ts)
// What the nodes say is some seconds old. The target's agent looks once more, before the source may be locked.
import {
  timeoutsOf,
  type MigrationRequest,
  type PodMemory,
  type TargetPlacement,
} from '../../../crds/src/index.ts';
import { alone, lacksRoom, staleMs } from '../nodes/memory-seen.ts';
import type { Nodes } from '../nodes/node-choice.ts';
import type { AbortCause } from '../requests/abort-cause.ts';
import { isTargetMissing, nodesOf, placementOn, placeText } from '../requests/handover.ts';
import { isLandingMove } from './landing.ts';
import type { MigrationDraft, MigrationPlan, Observed, OwnStatus } from './types.ts';
import { addressesOn, chooseAnother, memoryRefusal } from './validate.ts';

/** How long a source's agent may take to look at the pod: then the target is created all the same. */
const lookMs = 10_000;
/** How soon to ask again for memory that other moves will leave, or that a node's agent may report. */
const pollMs = 3_000;

/** Whether any of the nodes says how much memory it has. */
export const asksForMemory = (
  { memory }: Pick<Observed, 'memory'>,
  target: TargetPlacement,
): boolean => nodesOf(target).some((name) => memory?.of(name) !== undefined);

/** Whether the target waits for memory: there is none of it yet, and none was found. */
function awaitsMemory(observed: Observed): boolean {
  const { target } = observed.request.status ?? {};
  if (!target || target.memory || !isTargetMissing(observed)) return false;
  return asksForMemory(observed, target);
}

/** @returns undefined: the target may be created; a cause: no node will have the memory */
export function reserveMemory(
  observed: Observed,
  draft: MigrationDraft,
): MigrationPlan | AbortCause | undefined {
  const { target, sourceAgent, source } = observed.request.status ?? {};
  if (!target || !awaitsMemory(observed)) return undefined;
  const { memory } = sourceAgent ?? {};
  if (memory) return findRoom(observed, draft, target, memory);
  const leftMs = lookEnd(observed.request) - draft.now;
  if (sourceAgent || leftMs <= 0) return undefined;
  const message = `The Sealift agent of node ${source?.nodeName ?? ''} looks how much memory the pod has.`;
  draft.progress.waiting('TargetReady', 'Waiting', message);
  return draft.plan('Preparing', [], leftMs);
}

/** By the operator's own clock: it has set the deadline, or adopted it. */
function lookEnd(request: MigrationRequest): number {
  return acceptedAt(request) + Math.min(lookMs, prepareMsOf(request) / 2);
}

const prepareMsOf = (request: MigrationRequest): number =>
  timeoutsOf(request).prepareSeconds * 1000;
const acceptedAt = (request: MigrationRequest): number =>
  Date.parse(request.status?.deadlines?.prepare ?? '') - prepareMsOf(request);

/** A landing pod may go to the node that it has just left, and what that one says now may be from before. Of any other pod it is not. */
function settledAt(request: MigrationRequest): number {
  return request.status?.source?.standsInFor === undefined ? 0 : acceptedAt(request) + staleMs;
}

function findRoom(
  observed: Observed,
  draft: MigrationDraft,
  target: TargetPlacement,
  memory: PodMemory,
): MigrationPlan | AbortCause {
  const { request } = observed;
  const named = nodesOf(target);
  const able = named.filter((name) => lacksRoom(observed.memory, name, memory) === undefined);
  // A pod that moves twice needs a node where it ends, too.
  const isWhole = !isLandingMove(request) || !refusal(observed);
  if (able.length > 0 && isWhole) {
    const fewer = able.length < named.length ? narrowed(observed, able) : {};
    draft.status.target = { ...target, ...fewer, memory };
    return draft.plan('Preparing', [], 0);
  }
  const next = able.length > 0 ? undefined : otherNodes(observed);
  if (next) {
    const { podName } = target;
    draft.status.target = { podName, ...placementOn(next), ...addressesOn(observed, next) };
    const place = placeText(draft.status.target);
    draft.progress.waiting(
      'TargetReady',
      'Waiting',
      `The pod has more memory than node ${named[0] ?? ''} can take. It goes to ${place}.`,
    );
    return draft.plan('Preparing', [], 0);
  }
  const hopeless = refusal({ ...observed, memory: alone(observed.memory) });
  const leftMs = settledAt(request) - draft.now;
  if (hopeless && leftMs <= 0) return hopeless;
  if (hopeless) {
    const message = `${hopeless.message} That may be from before its agent's last look, as the pod may have been there. The operator asks again.`;
    draft.progress.waiting('TargetReady', 'NotEnoughMemory', message);
    return draft.plan('Preparing', [], Math.min(pollMs, leftMs));
  }
  const busy = 'The nodes that have the memory for the pod take no more moves for now.';
  const message = `${refusal(observed)?.message ?? busy} The request waits until other moves have ended.`;
  draft.progress.waiting('TargetReady', 'NotEnoughMemory', message);
  return draft.plan('Preparing', [], pollMs);
}

/** Those of the nodes. */
function narrowed({ nodes }: Observed, names: readonly string[]): Partial<TargetPlacement> {
  const able = nodes.filter(({ metadata }) => names.includes(metadata.name));
  const [first, ...others] = able;
  if (!first) return {};
  return { candidates: undefined, ...placementOn([first, ...others]) };
}

/** Of a pod that moves twice the user names the end alone. */
function otherNodes(observed: Observed): Nodes | undefined {
  const { request } = observed;
  if (request.spec.targetNodeName !== undefined && !isLandingMove(request)) return undefined;
  const nodes = chooseAnother(observed, tried(observed), false);
  return 'reason' in nodes ? undefined : nodes;
}

const tried = ({ request }: Observed): ReadonlySet<string> =>
  new Set((request.status?.triedNodes ?? []).map(({ nodeName }) => nodeName));
const refusal = (observed: Observed): AbortCause | undefined =>
  memoryRefusal(observed, tried(observed));

/** Memory that other moves had, for as long as a target may take to be prepared. */
export function memoryCause(observed: Observed, now: number): AbortCause | undefined {
  const { deadlines, sourceAgent } = observed.request.status ?? {};
  if (!sourceAgent?.memory || deadlines?.prepare === undefined) return undefined;
  if (now <= Date.parse(deadlines.prepare) || !awaitsMemory(observed)) return undefined;
  return refusal(observed);
}

/** Whether the status says for the first time that memory was found. */
export const isReserving = ({ status }: MigrationRequest, { target }: OwnStatus): boolean =>
  target?.memory !== undefined && status?.target?.memory === undefined;

/** Whether it is still there for the pod, as other requests may have found it too. */
export const hasRoom = ({ memory }: Observed, { target }: OwnStatus): boolean =>
  nodesOf(target ?? {}).every((name) => lacksRoom(memory, name, target?.memory) === undefined);

/** Whether the status names other nodes, as those before could not take the target. */
export function isElsewhere({ status }: MigrationRequest, { target }: OwnStatus): boolean {
  const before = status?.target;
  if (!target || target.podUID !== undefined || !before) return false;
  const known = nodesOf(before);
  return before.podUID !== undefined || nodesOf(target).some((name) => !known.includes(name));
}
