// SPDX-License-Identifier: Apache-2.0
// The operator tries other nodes when those that the scheduler could choose cannot take the target. It does so only before
// anything has been done to the source, and only if the nodes are the cause: none has room, the kubelet has refused the pod
// before it made a container, or the agent has found too little memory. For that it waits where there is no other node. Pure.
//   1. record the nodes in status.triedNodes, with the UID of the pod
//   2. delete that pod
//   3. when it is gone, name the next ones in status.target; the pod is created again under the same name
// A restarted operator continues after any of them. Each pod has a prepare deadline of its own, and all of them together one of
// three times that length. A pod that several kubelets refuse is refused by all, it seems.
import {
  isGivenUp,
  mostKubeletRefusals,
  mostTriedNodes,
  type TargetPlacement,
} from '../../../crds/src/index.ts';
import type { Plan, Pod } from '../../../kube/src/index.ts';
import type { Nodes } from '../nodes/node-choice.ts';
import { targetProblem } from '../target-pod/health.ts';
import { refusesTarget, type AbortCause } from './abort-cause.ts';
import { isPrepared, pollMs, retryDeadlines } from './deadlines.ts';
import { nodesOf, ownTarget, placementOn } from './handover.ts';
import type { HandoverDraft } from './handover-draft.ts';
import type {
  HandoverCondition,
  HandoverEffect,
  HandoverObserved,
  HandoverRequest,
  HandoverStatus,
} from './handover-types.ts';
import { sentences, someOf } from './message.ts';
import type { Refusal } from '../refusal.ts';

type Own = { readonly type: string };
type Draft<S extends HandoverStatus, E extends Own> = HandoverDraft<HandoverCondition, S, E>;
/**
 * @param without names of nodes that are not to be chosen
 * @param isWaiting whether nodes that others may get instead will do, as the request can wait for them
 */
export type Choose = (without: ReadonlySet<string>, isWaiting: boolean) => Nodes | Refusal;
/** What a status says of the target on these nodes beside their names. */
type Placed = (nodes: Nodes) => Partial<TargetPlacement>;

/**
 * @param cause why the request would be aborted
 * @returns a plan; or why the request is to be aborted; undefined: nothing is wrong
 */
export function tryAnotherNode<S extends HandoverStatus, E extends Own>(
  observed: HandoverObserved,
  draft: Draft<S, E>,
  cause: AbortCause | undefined,
  choose: Choose,
  placed: Placed = () => ({}),
): Plan<E | HandoverEffect, S> | AbortCause | undefined {
  const { request } = observed;
  if (isGivenUp(request.status)) {
    return cause ?? planNextNode(observed, draft, choose, placed) ?? lastCause(request);
  }
  if (!cause) return undefined;
  const plan = planGivingUp(observed, draft, cause, choose) ?? planRoomWait(observed, draft, cause);
  return plan ?? { ...cause, message: sentences([cause.message, triedMessage(request)]) };
}

/** @returns undefined: the request is to be aborted for the cause */
function planGivingUp<S extends HandoverStatus, E extends Own>(
  observed: HandoverObserved,
  draft: Draft<S, E>,
  cause: AbortCause,
  choose: Choose,
): Plan<E | HandoverEffect, S> | undefined {
  const { request } = observed;
  const own = ownTarget(observed);
  if (!own || !mayChange(request)) return undefined;
  const { refusal, isOfNode } = targetProblem(own, observed.unschedulableMs, false);
  const isOfPod = !isOfNode || refusal?.reason !== cause.reason;
  if (isOfPod && !isLacking(observed, own, cause)) return undefined;
  const { triedNodes = [], target } = draft.status;
  const { reason, message } = cause;
  // What the scheduler says of all of them is said once.
  const given = nodesOf(target ?? {}).map((nodeName, index) => ({
    ...{ nodeName, podUID: own.metadata.uid, reason, message: index === 0 ? message : '' },
  }));
  const tried = [...triedNodes, ...given];
  if (refusals(tried) >= mostKubeletRefusals) return undefined;
  if (!retryDeadlines(draft.status, request, draft.now)) return undefined;
  if (tried.length > mostTriedNodes || 'reason' in choose(namesOf(tried), true)) return undefined;
  draft.status.triedNodes = tried;
  draft.progress.waiting('TargetReady', reason, `${message} The operator tries another node.`);
  return draft.plan('Preparing', [deletion(own.metadata.uid)], 1000);
}

/** Whether the cause is the memory of the target's node, or the room on its disk. */
const isLacking = ({ request }: HandoverObserved, own: Pod, { reason }: AbortCause): boolean =>
  refusesTarget(request, own) &&
  reason === (request.status?.targetAgent?.reason ?? 'NotEnoughMemory');

/**
 * What a node lacks may be there a moment later, when another pod is restored or a process has ended. Where no other node can be
 * tried, the pod waits for it at its create gate, and its source runs.
 * @returns undefined: it does not lack that, or has waited for long enough
 */
function planRoomWait<S extends HandoverStatus, E extends Own>(
  observed: HandoverObserved,
  draft: Draft<S, E>,
  cause: AbortCause,
): Plan<E | HandoverEffect, S> | undefined {
  const own = ownTarget(observed);
  const leftMs = Date.parse(draft.status.deadlines?.prepare ?? '') - draft.now;
  if (!own || !isLacking(observed, own, cause) || !(leftMs >= 0)) return undefined;
  const wanted = cause.reason === 'DiskFull' ? 'room' : 'memory';
  const message = `${cause.message} The request waits for ${wanted} there.`;
  draft.progress.waiting('TargetReady', cause.reason, message);
  return draft.plan('Preparing', [], Math.min(pollMs, leftMs + 1));
}

/** Of a target that was given up. @returns undefined: there is no other node any more, and the last cause counts */
function planNextNode<S extends HandoverStatus, E extends Own>(
  observed: HandoverObserved,
  draft: Draft<S, E>,
  choose: Choose,
  placed: Placed,
): Plan<E | HandoverEffect, S> | undefined {
  const { request } = observed;
  const own = ownTarget(observed);
  if (!mayChange(request)) return undefined;
  if (own && own.metadata.uid === request.status?.target?.podUID) {
    const isDeleted = own.metadata.deletionTimestamp !== undefined;
    return draft.plan('Preparing', isDeleted ? [] : [deletion(own.metadata.uid)], pollMs);
  }
  const deadlines = retryDeadlines(draft.status, request, draft.now);
  if (!deadlines) return undefined;
  const without = namesOf(draft.status.triedNodes ?? []);
  const nodes = choose(without, false);
  if ('reason' in nodes) {
    if ('reason' in choose(without, true)) return undefined;
    const message = 'Other moves may get the nodes that are left. The operator tries again.';
    draft.progress.waiting('TargetReady', 'Waiting', message);
    return draft.plan('Preparing', [], 1000);
  }
  const { podName } = request.status?.target ?? {};
  draft.status.target = { podName, ...placementOn(nodes), ...placed(nodes) };
  draft.status.deadlines = deadlines;
  const names = someOf(nodes.map((one) => one.metadata.name));
  const which = nodes.length > 1 ? `one of the nodes ${names}` : `node ${names}`;
  draft.progress.waiting('TargetReady', 'Waiting', `The operator tries ${which} next.`);
  return draft.plan('Preparing', [], 0);
}

/** Why the last nodes were given up. */
function lastCause({ status }: HandoverRequest): AbortCause | undefined {
  const last = status?.triedNodes?.findLast((one) => one.message !== '');
  return last && { reason: last.reason, message: last.message };
}

/** For users: the nodes that were tried before the last one. */
function triedMessage({ status }: HandoverRequest): string | undefined {
  const now = nodesOf(status?.target ?? {});
  const before = (status?.triedNodes ?? []).filter((one) => !now.includes(one.nodeName));
  if (before.length === 0) return undefined;
  const nodes = someOf(before.map(({ nodeName, reason }) => `${nodeName} (${reason})`));
  return `Tried before: ${nodes}.`;
}

/** Not once an agent has anything of the target, and never once the source may be held. */
function mayChange(request: HandoverRequest): boolean {
  const { decision, deadlines } = request.status ?? {};
  if (request.spec.targetNodeName !== undefined) return false;
  return decision === undefined && deadlines?.blackout === undefined && !isPrepared(request);
}

/** Of the kubelet, which refuses a pod on one node. */
const refusals = (tried: readonly { readonly reason: string }[]): number =>
  tried.filter(({ reason }) => reason === 'TargetFailed').length;

const namesOf = (tried: readonly { readonly nodeName: string }[]): ReadonlySet<string> =>
  new Set(tried.map((one) => one.nodeName));
const deletion = (uid: string): HandoverEffect => ({ type: 'DeleteTarget', uid, force: false });
