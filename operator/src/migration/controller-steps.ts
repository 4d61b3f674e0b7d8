// SPDX-License-Identifier: Apache-2.0
// When source and target change places in their controller (docs/adr/0019). Pure. The controller acts on any state in
// between that it happens to see, also while the operator is away; each order below is one in which it deletes a copy
// that is not needed, and makes none.
import { finalizers, type MigrationRequest, type PodController } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import { isPrepared } from '../requests/deadlines.ts';
import { keptMessage, ownTarget, type CommittedWork } from '../requests/handover.ts';
import { isAttached, isDetached, isRetired, isWorthMore } from '../target-pod/controllers.ts';
import { controllerOf } from '../target-pod/ownership.ts';
import type { ControllerState, Effect, Observed } from './types.ts';

/** The source's pod, as long as its object exists. */
export const oldPod = ({ request, sourcePod }: Observed): Pod | undefined =>
  sourcePod?.metadata.uid === request.status?.source?.podUID ? sourcePod : undefined;

/**
 * Before the source is held, if its controller asks for that: first the target joins, then the source leaves. Should the
 * controller see both, it deletes the target, whose containers have not started, and the move is aborted.
 * @returns nothing once it is done
 */
export function beforeHold(observed: Observed): readonly Effect[] {
  const { request } = observed;
  const { source, deadlines } = request.status ?? {};
  const controller = source?.controller;
  if (controller?.handover !== 'BeforeHold' || deadlines?.blackout !== undefined) return [];
  const [from, to] = [oldPod(observed), ownTarget(observed)];
  if (!isPrepared(request) || !from || !to) return [];
  const effects: Effect[] = isAttached(to, controller) ? [] : [{ type: 'AttachTarget' }];
  if (isAttached(from, controller)) effects.push({ type: 'DetachSource', uid: from.metadata.uid });
  return effects;
}

/**
 * After `Aborted`: first the source joins again, then the target leaves. Should the controller see both, it deletes the
 * target. A source that is gone, or is being deleted, takes no place back: the target's end is then counted as the source's would be.
 * @returns nothing once it is done
 */
export function giveBack(observed: Observed): readonly Effect[] {
  const controller = observed.request.status?.source?.controller;
  const from = oldPod(observed);
  if (controller?.handover !== 'BeforeHold' || !from) return [];
  const { uid, deletionTimestamp } = from.metadata;
  if (deletionTimestamp !== undefined) return [];
  const to = ownTarget(observed);
  const effects: Effect[] = [];
  // A Job that has finished has ended its pods, but this one was not among them, or it came back too late to be one.
  if (hasOutlived(observed, from, controller)) effects.push({ type: 'EndSource', uid });
  else if (isDetached(from)) effects.push({ type: 'AttachSource', uid });
  if (to && isAttached(to, controller)) effects.push({ type: 'DetachTarget' });
  return effects;
}

/** Whether the source's Job has finished without it, and nobody else has taken it since. */
const hasOutlived = (
  { controller: state }: Observed,
  from: Pod,
  controller: PodController,
): boolean =>
  state === 'finished' &&
  (isDetached(from) || (isAttached(from, controller) && from.status.phase === 'Running'));

/**
 * How long a Job may take to write its end that has looked at its pods before the source came back: it deletes its pods and
 * takes its finalizers from them first, each by a request of a client with a limited rate.
 */
export const lateEndMs = 60_000;
/** How soon after the end of a request the operator looks again, for the first time. */
const firstLateLookMs = 1000;

/**
 * After the end of an aborted request: the source has come back to its Job, and that may have counted its pods just before.
 * Then it takes all of them for ended, writes its own end, and never looks again. Until it would have done so, the operator does.
 * @returns undefined: there is nothing to look for, or no more
 */
export function afterReturn(
  observed: Observed,
  now: number,
): { readonly effects: readonly Effect[]; readonly lookAgainMs: number } | undefined {
  const { source } = observed.request.status ?? {};
  const from = oldPod(observed);
  if (!awaitsLateEnd(observed.request) || !source?.controller || !from) return undefined;
  const { uid, deletionTimestamp } = from.metadata;
  if (deletionTimestamp !== undefined) return undefined;
  if (hasOutlived(observed, from, source.controller)) {
    return { effects: [{ type: 'EndSource', uid }], lookAgainMs: firstLateLookMs };
  }
  if (observed.controller !== 'active' || !isAttached(from, source.controller)) return undefined;
  const elapsedMs = now - (observed.finished?.since ?? now);
  if (elapsedMs > lateEndMs) return undefined;
  // Later and later: what is late is so by milliseconds, as a rule.
  return { effects: [], lookAgainMs: Math.max(firstLateLookMs, elapsedMs) };
}

/** Whether a Job may not have seen yet that its pod is back. The finalizer stays until a last look has been taken. */
export function awaitsLateEnd(request: MigrationRequest): boolean {
  const { source, decision } = request.status ?? {};
  if (source?.controller?.kind !== 'Job' || decision?.outcome !== 'Aborted') return false;
  // A source whose target was never ready has not left its Job.
  return request.metadata.finalizers.includes(finalizers.active) && isPrepared(request);
}

/**
 * Whether the source's controller was deleted and its pods are to stay (`--cascade=orphan`): the garbage collector has
 * taken the reference from the target, which had it. Otherwise it has deleted the target, and will delete the source.
 */
export function isOrphaned(observed: Observed): boolean {
  if (observed.controller === 'orphaning') return true;
  const to = ownTarget(observed);
  return observed.controller === 'gone' && to !== undefined && controllerOf(to) === undefined;
}

/**
 * What is known of the source's controller. One that was once seen to leave its pods behind has done so, whatever is left to see of it:
 * a set of its name may have taken its revisions since, and removed them.
 */
export function controllerState(observed: Observed): ControllerState | undefined {
  const own = observed.request.status?.source?.controller;
  const first = observed.firstMove?.status?.source?.controller;
  const isKnown =
    own?.leftBehind === true || (first?.leftBehind === true && first.uid === own?.uid);
  return isKnown ? 'orphaning' : observed.controller;
}

interface Situation {
  readonly isTargetLost: boolean;
  /** The deadline of the nodes' confirmation has passed. */
  readonly isOverdue: boolean;
}

/** What is left to do, and what the status has to say of the controller. */
export type ControllerWork = CommittedWork<Effect> & {
  /** The controller was seen to be gone without its pods: later nobody could tell. */
  readonly isLeftBehind?: boolean;
};

/** After `Committed`: the source is deleted, and its controller keeps the number of its pods. */
export function afterCommit(observed: Observed, situation: Situation): ControllerWork {
  const controller = observed.request.status?.source?.controller;
  const deletion = isSilent(observed, situation) ? deleteSource(observed) : [];
  if (controller && wasDeletedToo(observed)) {
    return { effects: deletion, outcome: controllerDeleted(controller) };
  }
  if (controller?.handover === 'AfterResume') return afterResume(observed, controller, situation);
  if (controller?.handover !== 'ByName') return { effects: deletion };
  // It has the name, and its landing pod was never counted: it may join at once.
  const to = ownTarget(observed);
  const state = controllerState(observed);
  if (!to || isAttached(to, controller) || state === 'orphaning') {
    return { effects: deletion };
  }
  if (state !== 'gone') return { effects: [{ type: 'AttachTarget' }, ...deletion] };
  const { kind, name } = controller;
  const waitsFor = `${kind} ${name} was deleted. The garbage collector has not seen to its pods yet.`;
  return { effects: deletion, ...(!situation.isOverdue && { waitsFor }) };
}

/** Whether the target is gone, and its controller is, too. */
function wasDeletedToo(observed: Observed): boolean {
  const state = controllerState(observed);
  return (state === 'deleted' || state === 'gone') && !ownTarget(observed);
}

const controllerDeleted = ({
  kind,
  name,
}: PodController): NonNullable<ControllerWork['outcome']> => ({
  succeeded: false,
  reason: 'ControllerDeleted',
  message: `${kind} ${name} was deleted after the decision, and the moved pod with it.`,
});

/**
 * A source answers its peers no more: its agent has reported so, or the target runs. A kubelet that deletes it earlier
 * would leave peers without an answer: docs/adr/0008.
 */
function isSilent({ request }: Observed, { isTargetLost }: Situation): boolean {
  const { sourceAgent, targetAgent } = request.status ?? {};
  return isTargetLost || sourceAgent?.state === 'Gone' || targetAgent?.state === 'Running';
}

export function deleteSource(observed: Observed): readonly Effect[] {
  const source = oldPod(observed);
  // Deleted already: only the owner of a finalizer can do more.
  if (!source || keptMessage(source) !== undefined) return [];
  return [{ type: 'DeleteSource', uid: source.metadata.uid }];
}

function afterResume(
  observed: Observed,
  controller: PodController,
  situation: Situation,
): ControllerWork {
  const [from, to] = [oldPod(observed), ownTarget(observed)];
  if (!isSilent(observed, situation)) return { effects: [] };
  const deletion = deleteSource(observed);
  if (!to || isAttached(to, controller)) return { effects: deletion };
  if (isLeftBehind(observed)) return { effects: deletion, isLeftBehind: true };
  if (isUnclaimed(observed)) return { effects: deletion };
  const attach: Effect = { type: 'AttachTarget' };
  // The controller does not count a pod that is being deleted.
  if (!from || from.metadata.deletionTimestamp !== undefined) {
    return { effects: [attach, ...deletion] };
  }
  if (isWorthMore(to, from)) return { effects: [attach, ...deletion] };
  // Nothing is known of the target. Beside the source it would be deleted; beside a pod that is made now, it is not.
  if (situation.isTargetLost || situation.isOverdue) return { effects: [...deletion, attach] };
  if (!isRetired(from)) return { effects: [{ type: 'RetireSource', uid: from.metadata.uid }] };
  const { kind, name } = controller;
  const waitsFor = `Pod ${to.metadata.name} takes its place in ${kind} ${name} once it is ready, or the kubelet of node ${from.spec.nodeName} has seen the end of the source.`;
  return { effects: [], waitsFor };
}

/**
 * Whether the controller has given up the source: the target belongs to nobody, like the source. A controller that is gone
 * without that takes its pods along: with the reference the target goes, too, as the garbage collector would have it.
 */
function isLeftBehind(observed: Observed): boolean {
  if (controllerState(observed) === 'orphaning') return true;
  const from = oldPod(observed);
  return from !== undefined && controllerOf(from) === undefined;
}

/**
 * Whether nobody can tell any more if the target goes with its controller: that one is gone, and so is the source. The target
 * runs, and nothing brings it back once the garbage collector has taken it.
 */
const isUnclaimed = (observed: Observed): boolean =>
  controllerState(observed) === 'gone' && !oldPod(observed);

/** For users: what to do about a target whose controller is gone. */
export function unclaimedMessage(observed: Observed): string | undefined {
  const controller = observed.request.status?.source?.controller;
  const to = ownTarget(observed);
  if (controller?.handover !== 'AfterResume' || !to || isAttached(to, controller)) return undefined;
  if (!isUnclaimed(observed)) return undefined;
  const { name } = to.metadata;
  return `${controller.kind} ${controller.name} was deleted after the decision, and nothing tells whether its pods were to go with it. Pod ${name} belongs to nobody. If it was to go, delete pod ${name}.`;
}
