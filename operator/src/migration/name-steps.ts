// SPDX-License-Identifier: Apache-2.0
// What is left to do once a landing pod is committed (docs/adr/0025). Pure. The landing pod is the copy that runs, until the
// second move is decided. Until this request ends, the API server lets nobody but the operator make a pod of the old name.
import {
  isFinished,
  podConditions,
  summaryOf,
  waitsForNode,
  waitsForNodeReason,
  type MigrationRequest,
  type PodMemory,
  type SecondMove,
} from '../../../crds/src/index.ts';
import type { Node, Pod } from '../../../kube/src/index.ts';
import { isFull, mayBeFull, queueCause, queueMessage, type Move } from '../moves/limits.ts';
import { withoutPlacement } from '../nodes/fitness.ts';
import { lacksRoomBeside, staleMs } from '../nodes/memory-seen.ts';
import type { NodeQuestion } from '../nodes/node-choice.ts';
import { commitConfirmationMs } from '../requests/deadlines.ts';
import { keptMessage, ownTarget, type CommittedWork } from '../requests/handover.ts';
import { sentences } from '../requests/message.ts';
import type { Refusal } from '../refusal.ts';
import { isDetached, isReady } from '../target-pod/controllers.ts';
import { restartAfterResume } from '../target-pod/restarts.ts';
import { controllerState, deleteSource, oldPod } from './controller-steps.ts';
import { chooseEnd, chooseLanding, isFirstMove, nameOf, secondName } from './landing.ts';
import type { ControllerState, Effect, Observed } from './types.ts';

/** How long the operator waits before the next attempt; doubled with each. */
const firstRetryMs = 10_000;
const longestRetryMs = 300_000;

type Work = CommittedWork<Effect> & { readonly secondMove?: SecondMove };

/** Of a set that makes no pod any more. */
const endedStates: readonly ControllerState[] = ['deleted', 'gone', 'orphaning'];

/** Nothing tells the operator that the set was deleted. */
const lookAgainMs = 3000;

/** Another pod, or somebody, has to make room on the node first. */
const roomReasons: ReadonlySet<string> = new Set(['NotEnoughMemory', 'DiskFull']);

const waits = (waitsFor: string): Work => ({ effects: [], waitsFor, lookAgainMs });

/**
 * The landing pod serves, and nobody knows for how long it waits: others may use its place in the limits. It belongs to nobody
 * meanwhile, because the disruption controller does not count a pod whose controller it cannot ask, nor any other of its budget.
 */
function waitsLong({ request }: Observed, landing: Pod, waitsFor: string): Work {
  // Another kind of controller might take a pod for its own that belongs to nobody.
  const { apiVersion, kind } = request.status?.source?.controller ?? {};
  const isSet = apiVersion === 'apps/v1' && kind === 'StatefulSet';
  return isSet && isDetached(landing)
    ? { effects: [{ type: 'ReleaseLanding', uid: landing.metadata.uid }] }
    : { ...waits(waitsFor), reason: waitsForNodeReason };
}

/** For a request that has been committed. Where its own landing pod waits for a node, neither of the two is under way. */
function waitsFor(second: MigrationRequest): Work {
  if (!waitsForNode(second)) return waits(movesOn(second));
  const why = sentences([movesOn(second), summaryOf(second)?.message]);
  return { ...waits(why), reason: waitsForNodeReason };
}

/** Whether the blackout may not begin yet, because the name is not known to be reserved. */
export function awaitsName({ request, nameTrial }: Observed): boolean {
  return isFirstMove(request) && nameTrial !== 'reserved';
}

/** For users: why a name is not reserved. */
export const nameMessage = ({ request, nameTrial = 'it was not tried' }: Observed): string =>
  `The API server does not reserve the name ${nameOf(request)} (${nameTrial}): its controller could make a second pod while this one moves. Install the chart with namePolicy: true, on Kubernetes 1.30 or later.`;

/** @param isTargetLost of the landing pod */
export function afterFirstMove(observed: Observed, isTargetLost: boolean, now: number): Work {
  const { request, secondMove: second } = observed;
  if (second?.status?.decision?.outcome === 'Committed') {
    return isFinished(second) ? { effects: [], outcome: outcomeOf(second) } : waitsFor(second);
  }
  const landing = ownTarget(observed);
  const arrived = landing ? undefined : hasArrived(observed);
  if (arrived) return arrived;
  const restart = landing && restartAfterResume(landing, request.status?.targetAgent);
  const isDeleted = landing?.metadata.deletionTimestamp !== undefined;
  const isUnwanted = controllerState(observed) === 'deleted';
  if (isTargetLost || restart !== undefined || isDeleted || isUnwanted) {
    return giveUp(observed, landing, restart);
  }
  // The planner waits for its agent.
  if (!landing || request.status?.targetAgent?.state !== 'Running') return { effects: [] };
  return freeName(observed) ?? moveOn(observed, landing, now);
}

/** The stopped source's object keeps the name from its controller until the API server does. @returns undefined: it is gone */
function freeName(observed: Observed): Work | undefined {
  const old = oldPod(observed);
  if (!old) return undefined;
  if (awaitsName(observed)) return waits(nameMessage(observed));
  const kept = keptMessage(old);
  return kept === undefined ? { effects: deleteSource(observed) } : waits(kept);
}

/**
 * Somebody has deleted the request of the second move once it had ended, or has made it. Nobody but the operator can make a
 * pod of that name.
 */
function hasArrived(observed: Observed): Work | undefined {
  const { request, secondMove: second } = observed;
  const { source, secondMove: record } = request.status ?? {};
  const named = namedPod(observed);
  if (!record || !named || named.metadata.uid === source?.podUID) return undefined;
  if (second && !isFinished(second)) return undefined;
  const isCommitted = named.status.conditions.some(
    (one) => one.type === podConditions.committed && one.status === 'True',
  );
  if (!isCommitted) return undefined;
  const message = `Pod ${named.metadata.name} runs on ${named.spec.nodeName}.`;
  return { effects: [], outcome: { succeeded: true, reason: 'Moved', message } };
}

/** The pod that has the name in its controller now. */
const namedPod = ({ request, sourcePod, namedPod: named }: Observed): Pod | undefined =>
  isFirstMove(request) ? sourcePod : named;

/**
 * The landing pod is lost, or has begun from nothing: the controller makes its pod itself once this request has ended. Or the
 * controller was deleted with its pods, of which the landing pod would be one. Not before the landing pod is gone, and a second
 * move that may yet be committed has ended: two pods of one name must not run.
 */
function giveUp(observed: Observed, landing: Pod | undefined, restart: string | undefined): Work {
  const { request, secondMove: second } = observed;
  const podName = nameOf(request);
  const effects: Effect[] = [...deleteSource(observed)];
  if (landing && landing.metadata.deletionTimestamp === undefined) {
    effects.push({ type: 'DeleteLanding', uid: landing.metadata.uid });
  }
  if (effects.length > 0) return { effects };
  const { kind = '', name: controller = '' } = request.status?.source?.controller ?? {};
  const isUnwanted = controllerState(observed) === 'deleted';
  if (landing && isUnwanted) {
    return waits(`${kind} ${controller} was deleted. Its pod ${landing.metadata.name} goes, too.`);
  }
  if (landing) {
    const why = restart === undefined ? 'is lost' : `was resumed, but container ${restart}`;
    const { name } = landing.metadata;
    return waits(`Pod ${name} ${why}. Pod ${podName} is made from nothing once ${name} is gone.`);
  }
  if (second && !isFinished(second)) return waits(movesOn(second));
  const name = request.status?.target?.podName ?? '';
  // Without a pod of its set nobody can tell any more whether it was to go; it has gone.
  const state = controllerState(observed);
  if (state !== undefined && endedStates.includes(state)) {
    const message = `${kind} ${controller} was deleted after the decision, and pod ${name}, which stood in for pod ${podName}, has gone.`;
    return { effects: [], outcome: { succeeded: false, reason: 'ControllerDeleted', message } };
  }
  const message = `Pod ${name}, which stood in for pod ${podName}, is lost, with what it had in memory. ${kind} ${controller} makes pod ${podName} from nothing.`;
  return { effects: [], outcome: { succeeded: false, reason: 'TargetLost', message } };
}

function moveOn(observed: Observed, landing: Pod, now: number): Work {
  const { request, secondMove: second } = observed;
  const podName = nameOf(request);
  const named = namedPod(observed);
  const record = request.status?.secondMove;
  if (second && !isFinished(second)) return waits(movesOn(second));
  // The target of a second move that was aborted is gone before that request has ended.
  if (named) {
    return staysOn(
      observed,
      landing,
      `Another pod has the name ${podName}, and Sealift has not made it (UID ${named.metadata.uid}). Pod ${landing.metadata.name} has the memory. Delete pod ${podName}, then the operator continues.`,
    );
  }
  if (!isReady(landing)) {
    const { name } = landing.metadata;
    const why = `Pod ${name} stands in for pod ${podName}. It moves on once it is ready.`;
    return staysOn(observed, landing, why);
  }
  if (record && !second && !waitsForNode(request)) {
    return { effects: [{ type: 'CreateSecondMove', ...record }] };
  }
  return nextAttempt(observed, landing, now);
}

/** One that has given up its place in the limits gets none by another reason to wait. */
const staysOn = (observed: Observed, landing: Pod, why: string): Work =>
  waitsForNode(observed.request) ? waitsLong(observed, landing, why) : waits(why);

/** Of a landing pod that is ready. Another attempt follows after a while, if the one before has failed. */
function nextAttempt(observed: Observed, landing: Pod, now: number): Work {
  const { request, secondMove: second, moves: seen } = observed;
  const attempt = (request.status?.secondMove?.attempt ?? 0) + 1;
  const failure = second && summaryOf(second)?.message;
  if (second && now < (observed.secondFinished?.since ?? now) + retryMs(attempt)) {
    const why = sentences([failure, `${landing.metadata.name} runs on; the operator tries again.`]);
    const isShort = roomReasons.has(summaryOf(second)?.reason ?? '');
    return isShort ? waitsLong(observed, landing, why) : staysOn(observed, landing, why);
  }
  const node = endOf(observed, landing, attempt);
  if ('reason' in node) {
    const why = sentences([failure, node.message]);
    const mayFit =
      isSettling(observed, now) && !('reason' in endOf(regardless(observed), landing, attempt));
    return mayFit ? waits(why) : waitsLong(observed, landing, why);
  }
  const next = { requestName: secondName(request, attempt), attempt, nodeName: node.name };
  const move = returnOf(request, landing, next);
  const cause = move && queueCause(move, seen);
  if (cause) return waitsLong(observed, landing, queueMessage(cause, move, seen));
  return { effects: [{ type: 'CreateSecondMove', ...next }], secondMove: next };
}

/**
 * Whether the node that the pod has left may have more memory than its agent has said, and the request still has its place.
 * Counted from when the operator has seen the decision: when the pod was resumed is by its node's clock.
 */
function isSettling({ request }: Observed, now: number): boolean {
  const { confirmation } = request.status?.deadlines ?? {};
  const since = confirmation === undefined ? now : Date.parse(confirmation) - commitConfirmationMs;
  return !waitsForNode(request) && now < since + staleMs;
}

const regardless = (observed: Observed): Observed => ({ ...observed, memory: undefined });

/**
 * A request that has given up its place in the limits needs one again for its next second move.
 * @returns undefined: it has none to make, or still has its place
 */
export function returnOf(
  request: MigrationRequest,
  landing: Pod | undefined,
  next: SecondMove | undefined,
): Move | undefined {
  if (!landing || !next || !waitsForNode(request) || next === request.status?.secondMove) {
    return undefined;
  }
  const { policy } = request.status ?? {};
  return { from: landing.spec.nodeName, to: next.nodeName, policy };
}

/** Where the pod is to end: the landing pod's own node, if it can only get its name by way of another one. */
function endOf(
  observed: Observed,
  landing: Pod,
  attempt: number,
): { readonly name: string } | Refusal {
  const { request, moves, nodes, load, memory } = observed;
  const { source, policy } = request.status ?? {};
  const { targetNodeName: wanted } = request.spec;
  const from = landing.spec.nodeName;
  const cameFrom = wanted === undefined ? (source?.nodeName ?? '') : '';
  const question = (isTaken: typeof isFull): NodeQuestion => ({
    ...{ nodes, from, mayStay: false, load },
    seed: `${request.metadata.uid} ${attempt}`,
    isBusy: (name) => isTaken(name, moves, policy),
    scheduling: withoutPlacement(landing),
    lacksMemory: lacksRoomBeside(memory, from, neededBy(observed)),
  });
  const choose = (isTaken: typeof isFull): Node | Refusal => {
    const asked = question(isTaken);
    if (wanted !== from) {
      const direct = chooseEnd({ ...asked, wanted }, cameFrom);
      if ('reason' in direct || direct.metadata.name !== cameFrom) return direct;
    }
    const back = chooseLanding({ ...asked, wanted: from, mayStay: true });
    if (!('reason' in back)) return back.end;
    // Better its first node than none.
    return wanted === from ? back : chooseEnd(asked, '');
  };
  const free = choose(mayBeFull);
  if ('reason' in free) return noNode(observed, landing, free);
  const isHeld = mayBeFull(free.metadata.name, moves, policy);
  const node = isHeld ? choose(isFull) : free;
  return 'reason' in node ? noNode(observed, landing, node) : { name: node.metadata.name };
}

/** As the attempt before has found it, or else the first move. */
const neededBy = ({ request, secondMove }: Observed): PodMemory | undefined =>
  secondMove?.status?.sourceAgent?.memory ??
  request.status?.sourceAgent?.memory ??
  request.status?.target?.memory;

/** For users: what a landing pod waits for. */
function noNode({ request }: Observed, { metadata, spec }: Pod, why: Refusal): Refusal {
  const name = nameOf(request);
  const isThere = request.spec.targetNodeName === spec.nodeName;
  const way = isThere ? 'by way of another node, and no other one' : 'on another node, and none';
  const cause = why.reason === 'NoLandingNode' ? '' : ` ${why.message}`;
  return {
    reason: why.reason,
    message: `Pod ${metadata.name} stands in for pod ${name} on ${spec.nodeName}. It gets the name back ${way} can take it now.${cause}`,
  };
}

/** From the end of the attempt before. */
const retryMs = (attempt: number): number =>
  Math.min(firstRetryMs * 2 ** (attempt - 2), longestRetryMs);

const movesOn = ({ metadata, spec }: MigrationRequest): string =>
  `MigrationRequest ${metadata.name} moves pod ${spec.podName} on, to its own name.`;

function outcomeOf(second: MigrationRequest): NonNullable<Work['outcome']> {
  const summary = summaryOf(second);
  return {
    succeeded: summary?.status === 'True',
    reason: summary?.reason ?? 'TargetLost',
    message: summary?.message ?? '',
  };
}
