// SPDX-License-Identifier: Apache-2.0
// What the controllers of MigrationRequests and RestoreRequests decide alike, from the finalizer to the end. Pure.
import {
  finalizers,
  labels,
  podConditions,
  restoreAdvice,
  type Condition,
  type Decision,
  type TargetPlacement,
  type TargetState,
} from '../../../crds/src/index.ts';
import type { Plan, Pod } from '../../../kube/src/index.ts';
import { agentAddress, type Nodes } from '../nodes/node-choice.ts';
import { targetProgress } from '../target-pod/health.ts';
import { isTargetOf, namesRequest } from '../target-pod/ownership.ts';
import { restartAfterResume } from '../target-pod/restarts.ts';
import type { AbortCause } from './abort-cause.ts';
import {
  abortConfirmationMs,
  commitConfirmationMs,
  confirmationDeadline,
  lastLookAt,
  pollMs,
} from './deadlines.ts';
import { remainingMs } from './finished.ts';
import { pick } from './status-draft.ts';
import type { HandoverDraft } from './handover-draft.ts';
import type {
  HandoverCondition,
  HandoverEffect,
  HandoverObserved,
  HandoverStatus,
} from './handover-types.ts';
import { sentences, someOf } from './message.ts';

type Own = { readonly type: string };
type Draft<S extends HandoverStatus, E extends Own> = HandoverDraft<HandoverCondition, S, E>;
type HandoverPlan<S, E> = Plan<E | HandoverEffect, S>;

/** The finalizer comes before everything that would have to be undone. @returns undefined once it is there. */
export function planFinalizer<S extends HandoverStatus, E extends Own>(
  { request: { metadata } }: HandoverObserved,
  draft: Draft<S, E>,
): HandoverPlan<S, E> | undefined {
  if (metadata.finalizers.includes(finalizers.active)) return undefined;
  if (metadata.deletionTimestamp !== undefined) return { status: undefined, effects: [] };
  return draft.plan('Pending', [{ type: 'AddFinalizer' }], 0);
}

/** The target pod, if this very request created it. */
export function ownTarget({ request, targetPod }: HandoverObserved): Pod | undefined {
  return targetPod && isTargetOf(targetPod, request) ? targetPod : undefined;
}

/** Writes the target's UID into the status as soon as the pod exists, and its node as soon as the scheduler has chosen it. */
export function recordTarget<S extends HandoverStatus, E extends Own>(
  observed: HandoverObserved,
  draft: Draft<S, E>,
): void {
  const { target } = observed.request.status ?? {};
  const own = ownTarget(observed);
  if (!own || !target) return;
  draft.status.target = { ...target, podUID: own.metadata.uid, ...chosenNode(observed, own) };
}

/** Of a target that the scheduler could put on several nodes. The agent of that node takes no part before. */
function chosenNode({ request, nodes }: HandoverObserved, { spec }: Pod): Partial<TargetPlacement> {
  const { nodeName } = spec;
  if (!nodeName || request.status?.target?.nodeName !== undefined) return {};
  const node = nodes.find((one) => one.metadata.name === nodeName);
  return { nodeName, agentAddress: node && agentAddress(node), candidates: undefined };
}

/** Where a target is, or may be put by the scheduler. */
export const nodesOf = ({ nodeName, candidates = [] }: TargetPlacement): readonly string[] =>
  nodeName === undefined ? candidates : [nodeName];

/** For users: where a target is, or may be put. */
export function placeText(target: TargetPlacement): string {
  const names = nodesOf(target);
  if (names.length === 1) return `node ${someOf(names)}`;
  return `one of the nodes ${someOf(names)}, as the scheduler chooses`;
}

/** What a status says of a target that may be put on these nodes. */
export function placementOn(nodes: Nodes): TargetPlacement {
  const [only, ...others] = nodes;
  if (others.length > 0) return { candidates: nodes.map((one) => one.metadata.name) };
  return { nodeName: only.metadata.name, agentAddress: agentAddress(only) };
}

/** Shows how far an undecided request's target pod is. */
export function showTarget<S extends HandoverStatus, E extends Own>(
  observed: HandoverObserved,
  draft: Draft<S, E>,
): void {
  recordTarget(observed, draft);
  const own = ownTarget(observed);
  if (!own || !observed.request.status?.target) return;
  draft.progress.waiting('TargetReady', 'TargetPodCreated', targetProgress(own));
}

/** Whether the target pod does not exist yet. One that the status has named by UID is not created again. */
export function isTargetMissing({ request, targetPod }: HandoverObserved): boolean {
  return !targetPod && request.status?.target?.podUID === undefined;
}

/** States of a target whose containers are restored. */
const restored: readonly TargetState[] = ['AtResumeGate', 'Answering', 'Running'];
/** States of a target that is at its create gate, or past it. */
const prepared: readonly TargetState[] = ['AtCreateGate', 'Receiving', 'Restoring', ...restored];

/** Conditions that follow from what the target's agent reports. */
export function showTargetState<S extends HandoverStatus, E extends Own>(
  { request }: HandoverObserved,
  { progress }: Draft<S, E>,
): void {
  const state = request.status?.targetAgent?.state;
  if (state === undefined) return;
  if (prepared.includes(state)) {
    progress.reached('TargetReady', 'AtCreateGate', 'The target waits for the images.');
  }
  if (restored.includes(state))
    progress.reached(
      'Restored',
      'AtResumeGate',
      'The target pod is restored and waits for the decision.',
    );
}

export function planAbort<S extends HandoverStatus, E extends Own>(
  draft: Draft<S, E>,
  cause: AbortCause,
  phase: S['phase'],
): HandoverPlan<S, E> {
  draft.progress.waiting('Succeeded', cause.reason, cause.message);
  return draft.plan(phase, [{ type: 'ProposeAbort', ...cause }], pollMs);
}

/** Whether Services may select a target. Its label alone does not say so: anybody could take that away who may write pods. */
const isAllowed = ({ metadata, status }: Pod): boolean =>
  metadata.labels[labels.role] === undefined &&
  status.conditions.some((one) => one.type === podConditions.committed && one.status === 'True');

/** What is left to do before a committed request may end. */
export interface CommittedWork<E> {
  readonly effects: readonly E[];
  /** For users: what it waits for, if there is nothing to do. */
  readonly waitsFor?: string;
  /** The condition's reason meanwhile. Absent: `Committed`. */
  readonly reason?: string;
  /** How soon to look again, where no event tells that the wait is over. */
  readonly lookAgainMs?: number;
  /** How the request ends, whatever has become of its target. */
  readonly outcome?: {
    readonly succeeded: boolean;
    readonly reason: string;
    readonly message: string;
  };
}

export interface CommittedSteps<E> {
  /** The outcome once the target runs. */
  readonly success: Pick<Condition, 'reason' | 'message'>;
  /** @param isOverdue the deadline of the nodes' confirmation has passed */
  work(situation: {
    readonly isTargetLost: boolean;
    readonly isOverdue: boolean;
  }): CommittedWork<E>;
}

/** After `Committed`: Services may select the target, it runs, and becomes a pod like any other. */
export function planCommitted<S extends HandoverStatus, E extends Own>(
  observed: HandoverObserved,
  draft: Draft<S, E>,
  decision: Decision,
  steps: CommittedSteps<E>,
): HandoverPlan<S, E> {
  const { progress, now } = draft;
  const own = ownTarget(observed);
  progress.reached('Committed', 'Committed', `${decision.by} decided at ${decision.time}.`);
  recordTarget(observed, draft);
  const deadline = confirmationDeadline(draft.status, now + commitConfirmationMs);
  const isOverdue = now > deadline;
  const lost = lostMessage(observed, isOverdue);
  // First: a Service that selects the pod should find one of the two at any time.
  const effects: (E | HandoverEffect)[] = !own || isAllowed(own) ? [] : [{ type: 'AllowTraffic' }];
  const work = steps.work({ isTargetLost: lost !== undefined, isOverdue });
  effects.push(...work.effects);
  if (effects.length > 0) return draft.plan('Resuming', effects, pollMs);
  const waitMs = isOverdue ? pollMs : Math.min(pollMs, deadline - now + 1);
  if (work.waitsFor !== undefined) {
    progress.waiting('Succeeded', work.reason ?? 'Committed', work.waitsFor);
    return draft.plan('Resuming', [], Math.min(waitMs, work.lookAgainMs ?? waitMs));
  }

  const release: HandoverEffect[] = own ? [{ type: 'ReleaseTarget' }] : [];
  if (work.outcome) {
    const { succeeded, reason, message } = work.outcome;
    return draft.finish(succeeded, reason, message, release);
  }
  if (lost !== undefined) return draft.finish(false, 'TargetLost', lost, release);
  const { targetAgent } = observed.request.status ?? {};
  if (own && targetAgent?.state === 'Running') {
    const restart = restartAfterResume(own, targetAgent);
    if (restart !== undefined) {
      return draft.finish(
        false,
        'TargetRestarted',
        sentences([restartedMessage(own, restart), restoreAdvice(observed.request)]),
        release,
      );
    }
    const lastLookMs = lastLookAt(draft.status, now) - now;
    if (lastLookMs > 0) {
      progress.waiting(
        'Succeeded',
        'Committed',
        'The target runs. The operator watches its containers for a while.',
      );
      return draft.plan('Resuming', [], lastLookMs);
    }
    const { reason, message } = steps.success;
    return draft.finish(true, reason, sentences([message, endedMessage(own)]), release);
  }
  progress.waiting('Succeeded', 'Committed', "The target's agent resumes the pod.");
  return draft.plan('Resuming', [], waitMs);
}

/** A pod may do its work, or fail for good, between its resume and the last look. */
function endedMessage({ status: { phase } }: Pod): string | undefined {
  if (phase !== 'Succeeded' && phase !== 'Failed') return undefined;
  return `The pod has ended there since, in phase ${phase}.`;
}

const restartedMessage = ({ metadata, spec }: Pod, restart: string): string =>
  `Pod ${metadata.name} was resumed on ${spec.nodeName}, but container ${restart}: what it had in memory is lost. See kubectl logs --previous ${metadata.name}.`;

/** Why a committed target does not run; undefined while it may. */
function lostMessage(observed: HandoverObserved, isOverdue: boolean): string | undefined {
  const { targetAgent, target } = observed.request.status ?? {};
  const name = target?.podName ?? '';
  const advice = restoreAdvice(observed.request);
  if (!ownTarget(observed)) {
    const loss = `The target pod ${name} was deleted after the decision: what it had in memory is lost.`;
    return sentences([loss, advice]);
  }
  if (targetAgent?.state === 'Failed' || targetAgent?.state === 'TornDown') {
    const failure =
      targetAgent.message ??
      `The target pod ${name} could not be resumed, and its agent gave no reason. See the logs of the agent's pod on node ${target?.nodeName ?? ''}.`;
    return sentences([failure, advice]);
  }
  if (!isOverdue || targetAgent?.state === 'Running') return undefined;
  return `Node ${target?.nodeName ?? ''} has not confirmed within ${commitConfirmationMs / 1000} s that pod ${name} runs. Look at the node and its Sealift agent.`;
}

/** After `Aborted`: the conditions say why, as soon as the decision is known. */
export function showAbort<S extends HandoverStatus, E extends Own>(
  { progress }: Draft<S, E>,
  { reason, message }: AbortCause,
): void {
  progress.set('Committed', 'False', reason, message);
  progress.waiting('Succeeded', reason, message);
}

/** How long a pod may stay after it was deleted by force, before the request ends without it. */
const forcedMs = 5_000;

/** Finalizers that keep a deleted pod's object; nothing but their owners can remove it. */
function finalizersOf({ metadata }: Pod): string | undefined {
  if (metadata.deletionTimestamp === undefined || metadata.finalizers.length === 0)
    return undefined;
  return metadata.finalizers.join(', ');
}

/** For users: a deleted pod that others keep; undefined if there is none. */
export function keptMessage(pod: Pod | undefined): string | undefined {
  const names = pod && finalizersOf(pod);
  if (names === undefined) return undefined;
  return `Pod ${pod?.metadata.name ?? ''} is deleted, but finalizers of other programs keep its object: ${names}. Check that these programs run, or remove the finalizers.`;
}

/**
 * Deletes the target of an aborted request. A node that is gone never finishes a deletion, so the operator removes the
 * pod by force when the confirmation is overdue.
 * @returns undefined once the target is gone
 */
export function planTargetDeletion<S extends HandoverStatus, E extends Own>(
  observed: HandoverObserved,
  draft: Draft<S, E>,
  phase: S['phase'],
): HandoverPlan<S, E> | undefined {
  const own = ownTarget(observed);
  if (!own) return undefined;
  const deadline = confirmationDeadline(draft.status, draft.now + abortConfirmationMs);
  const isOverdue = draft.now > deadline;
  if (!isOverdue && own.metadata.deletionTimestamp !== undefined) {
    return draft.plan(phase, [], Math.min(pollMs, deadline - draft.now + 1));
  }
  if (draft.now > deadline + forcedMs && finalizersOf(own) !== undefined) return undefined;
  const { uid } = own.metadata;
  const effect: HandoverEffect = { type: 'DeleteTarget', uid, force: isOverdue };
  return draft.plan(phase, [effect], isOverdue ? 1000 : pollMs);
}

/** A finished request: the operator leaves nothing behind, and deletes it when its time is over, as the request or its policy says. */
export function planRemaining<S extends HandoverStatus>(
  observed: HandoverObserved,
  owned: readonly (keyof S)[],
  now: number,
): Plan<HandoverEffect, S> {
  const effects = remainingEffects(observed);
  const { metadata, spec, status } = observed.request;
  const policy = status && 'policy' in status ? status.policy : undefined;
  const ttl = spec.ttlSecondsAfterFinished ?? policy?.ttlSecondsAfterFinished;
  const isLeft = effects.length > 0 || metadata.deletionTimestamp !== undefined;
  if (isLeft || ttl === undefined) return { status: undefined, effects };
  const waitMs = remainingMs(observed.finished, ttl, now);
  if (waitMs <= 0) return { status: undefined, effects: [{ type: 'DeleteRequest' }] };
  const seen = observed.finished?.seen;
  const kept = pick(status as S | undefined, owned);
  return { status: seen && { ...kept, finishedSeen: seen }, effects, requeueAfterMs: waitMs };
}

/** Removes what a finished request may have left: an aborted target, a reference to the request, the finalizer. */
function remainingEffects(observed: HandoverObserved): HandoverEffect[] {
  const { status, metadata } = observed.request;
  const own = ownTarget(observed);
  const outcome = status?.decision?.outcome;
  const effects: HandoverEffect[] = [];
  if (own && outcome === 'Aborted' && own.metadata.deletionTimestamp === undefined) {
    effects.push({ type: 'DeleteTarget', uid: own.metadata.uid, force: false });
  }
  if (own && outcome === 'Committed' && namesRequest(own)) effects.push({ type: 'ReleaseTarget' });
  if (metadata.finalizers.includes(finalizers.active)) effects.push({ type: 'RemoveFinalizer' });
  return effects;
}
