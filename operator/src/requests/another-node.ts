// SPDX-License-Identifier: Apache-2.0
// The operator tries another node when the first one cannot take the target. It does so only before anything has been done to
// the source, and only if the node is the cause: no room, or its kubelet has refused the pod before it made a container. Pure.
//   1. record the node in status.triedNodes, with the UID of its pod
//   2. delete that pod
//   3. when it is gone, name the next node in status.target; the pod is created there under the same name
// A restarted operator continues after any of them. The prepare deadline stays that of the first node.
import type { Placement } from '../../../crds/src/index.ts';
import type { Plan, Node } from '../../../kube/src/index.ts';
import { targetProblem } from '../target-pod/health.ts';
import { agentAddress } from '../nodes/node-choice.ts';
import { isGivenUp, type AbortCause } from './abort-cause.ts';
import { isPrepared, pollMs } from './deadlines.ts';
import { ownTarget } from './handover.ts';
import type { HandoverDraft } from './handover-draft.ts';
import type {
  HandoverCondition,
  HandoverEffect,
  HandoverObserved,
  HandoverRequest,
  HandoverStatus,
} from './handover-types.ts';
import { sentences } from './message.ts';
import type { Refusal } from '../refusal.ts';

type Own = { readonly type: string };
type Draft<S extends HandoverStatus, E extends Own> = HandoverDraft<HandoverCondition, S, E>;
/** @param without names of nodes that are not to be chosen */
type Choose = (without: ReadonlySet<string>) => Node | Refusal;
/** What a status says of the target on a node beside its name. */
type Placed = (node: Node) => Partial<Placement>;

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
  if (isGivenUp(request)) {
    return cause ?? planNextNode(observed, draft, choose, placed) ?? lastCause(request);
  }
  if (!cause) return undefined;
  const plan = planGivingUp(observed, draft, cause, choose);
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
  if (!isOfNode || refusal?.reason !== cause.reason) return undefined;
  const nodeName = request.status?.target?.nodeName ?? '';
  const { triedNodes = [] } = draft.status;
  const { reason, message } = cause;
  const tried = [...triedNodes, { nodeName, podUID: own.metadata.uid, reason, message }];
  if ('reason' in choose(namesOf(tried))) return undefined;
  draft.status.triedNodes = tried;
  draft.progress.waiting('TargetReady', reason, `${message} The operator tries another node.`);
  return draft.plan('Preparing', [deletion(own.metadata.uid)], 1000);
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
  const node = choose(namesOf(draft.status.triedNodes ?? []));
  if ('reason' in node) return undefined;
  const nodeName = node.metadata.name;
  const { podName } = request.status?.target ?? {};
  draft.status.target = { nodeName, podName, agentAddress: agentAddress(node), ...placed(node) };
  draft.progress.waiting('TargetReady', 'Waiting', `The operator tries node ${nodeName} next.`);
  return draft.plan('Preparing', [], 0);
}

/** Why the last node was given up. */
function lastCause({ status }: HandoverRequest): AbortCause | undefined {
  const last = status?.triedNodes?.at(-1);
  return last && { reason: last.reason, message: last.message };
}

/** For users: the nodes that were tried before the last one. */
function triedMessage({ status }: HandoverRequest): string | undefined {
  const before = (status?.triedNodes ?? []).filter(
    (one) => one.nodeName !== status?.target?.nodeName,
  );
  if (before.length === 0) return undefined;
  const nodes = before.map(({ nodeName, reason }) => `${nodeName} (${reason})`).join(', ');
  return `Tried before: ${nodes}.`;
}

/** Not once an agent has anything of the target, and never once the source may be held. */
function mayChange(request: HandoverRequest): boolean {
  const { decision, deadlines } = request.status ?? {};
  if (request.spec.targetNodeName !== undefined) return false;
  return decision === undefined && deadlines?.blackout === undefined && !isPrepared(request);
}

const namesOf = (tried: readonly { readonly nodeName: string }[]): ReadonlySet<string> =>
  new Set(tried.map((one) => one.nodeName));
const deletion = (uid: string): HandoverEffect => ({ type: 'DeleteTarget', uid, force: false });
