// SPDX-License-Identifier: Apache-2.0
// What to do next about a RestoreRequest. Pure. There is no source that goes on, so the decision only
// says whether the new pod runs.
import {
  conditionTypes,
  finalizers,
  isFinished,
  isStored,
  labels,
  type Decision,
  type RestoreConditionType,
  type RestoreRequest,
  type TargetState,
} from '../../../crds/src/index.ts';
import { timestamp, type Node } from '../../../kube/src/index.ts';
import { agentAddress, chooseNode } from '../nodes/node-choice.ts';
import { namesRequest, isTargetOf } from '../target-pod/ownership.ts';
import { ConditionProgress } from '../requests/condition-progress.ts';
import type { Refusal } from '../requests/refusal.ts';
import { makeReport } from '../requests/report.ts';
import { confirmationDeadline } from '../requests/confirmation-deadline.ts';
import { targetProgress, targetProblem } from '../target-pod/health.ts';
import { failureHints } from '../requests/failure-hints.ts';
import { abortCause, isPrepared } from './abort.ts';
import type { Effect, Observed, OwnStatus, PodIdentity, RestorePlan } from './types.ts';

const pollMs = 15_000;
/** How long a node may say nothing after the decision. */
export const abortConfirmationMs = 60_000;
export const commitConfirmationMs = 300_000;

export function decideRestore(observed: Observed, now: number): RestorePlan {
  const { request } = observed;
  const { metadata, status } = request;
  if (isFinished(request)) return afterwards(observed);
  const draft = new Draft(request, now);
  if (!metadata.finalizers.includes(finalizers.active)) {
    if (metadata.deletionTimestamp !== undefined) return { status: undefined, effects: [] };
    return draft.plan('Pending', [{ type: 'AddFinalizer' }], 0);
  }
  if (status?.decision?.outcome === 'Committed') {
    return committed(observed, draft, status.decision, now);
  }
  if (status?.decision?.outcome === 'Aborted')
    return aborted(observed, draft, status.decision, now);
  if (status?.source === undefined) return begin(observed, draft, now);
  return underWay(observed, draft, now);
}

class Draft {
  readonly progress: ConditionProgress<RestoreConditionType>;
  status: OwnStatus;
  readonly #request: RestoreRequest;

  constructor(request: RestoreRequest, now: number) {
    this.#request = request;
    const { status, metadata } = request;
    const types = conditionTypes.RestoreRequest;
    this.progress = new ConditionProgress(types, status?.conditions, now, metadata.generation);
    this.status = {
      observedGeneration: metadata.generation,
      startTime: status?.startTime ?? timestamp(now),
      completionTime: status?.completionTime,
      checkpointId: status?.checkpointId,
      digest: status?.digest,
      source: status?.source,
      target: status?.target,
      deadlines: status?.deadlines,
    };
  }

  plan(
    phase: OwnStatus['phase'],
    effects: readonly Effect[],
    requeueAfterMs?: number,
  ): RestorePlan {
    const { sourceAgent, targetAgent } = this.#request.status ?? {};
    const report = makeReport({ startTime: this.status.startTime, sourceAgent, targetAgent });
    const { conditions } = this.progress;
    return { status: { ...this.status, phase, conditions, report }, effects, requeueAfterMs };
  }

  finish(
    now: number,
    succeeded: boolean,
    reason: string,
    message: string,
    before: readonly Effect[] = [],
  ): RestorePlan {
    this.progress.finish('Succeeded', succeeded, reason, message);
    this.status.completionTime = timestamp(now);
    const phase = succeeded ? 'Succeeded' : reason === 'Cancelled' ? 'Cancelled' : 'Failed';
    return this.plan(phase, [...before, { type: 'RemoveFinalizer' }]);
  }
}

function begin(observed: Observed, draft: Draft, now: number): RestorePlan {
  const { request, checkpoint, podName } = observed;
  if (request.metadata.deletionTimestamp !== undefined) {
    return draft.finish(now, false, 'Cancelled', 'Cancelled before anything was done.');
  }
  const chosen = validate(observed);
  const { identity } = observed;
  if ('reason' in chosen) return refuse(draft, chosen, now);
  if ('reason' in identity) return refuse(draft, identity, now);
  const { nodeName = '', podUID, checkpointId, digest } = checkpoint?.status ?? {};
  const holder = observed.nodes.find((node) => node.metadata.name === nodeName);
  draft.progress.reached('Validated', 'Accepted', `To ${chosen.metadata.name}.`);
  draft.progress.waiting('Succeeded', 'Accepted');
  draft.status = {
    ...draft.status,
    checkpointId,
    digest,
    source: {
      nodeName,
      podName: checkpoint?.spec.podName,
      podUID,
      agentAddress: holder && agentAddress(holder),
    },
    target: { nodeName: chosen.metadata.name, podName, agentAddress: agentAddress(chosen) },
    deadlines: { prepare: timestamp(now + request.spec.timeouts.prepareSeconds * 1000) },
  };
  return draft.plan('Preparing', [create(chosen.metadata.name, identity)], pollMs);
}

function refuse(draft: Draft, { reason, message }: Refusal, now: number): RestorePlan {
  draft.progress.set('Validated', 'False', reason, message);
  return draft.finish(now, false, reason, message);
}

const create = (nodeName: string, identity: PodIdentity): Effect => ({
  type: 'CreatePod',
  nodeName,
  identity,
});

function validate(observed: Observed): Node | Refusal {
  const { request, checkpoint, pod, podName, nodes, load } = observed;
  const name = request.spec.checkpointName;
  if (!checkpoint) {
    return {
      reason: 'CheckpointNotFound',
      message: `There is no CheckpointRequest ${name} in this namespace.`,
    };
  }
  const { status } = checkpoint;
  if (!isStored(checkpoint) || !status?.podTemplate) {
    return {
      reason: 'CheckpointNotReady',
      message: `CheckpointRequest ${name} has no images: its phase is ${status?.phase ?? 'Pending'}; restore from one that has succeeded.`,
    };
  }
  if (pod && !isTargetOf(pod, request)) {
    return {
      reason: 'PodNameTaken',
      message: `A pod ${podName} exists already; set spec.podName or delete it.`,
    };
  }
  const from = status.nodeName ?? '';
  const node = chooseNode({
    nodes,
    from,
    mayStay: true,
    wanted: request.spec.targetNodeName,
    load,
  });
  if ('reason' in node && node.reason === 'SourceNodeUnavailable') {
    return { reason: 'CheckpointNodeUnavailable', message: node.message };
  }
  return node;
}

function follow(observed: Observed, draft: Draft): void {
  const state = observed.request.status?.targetAgent?.state;
  if (state === undefined || ['Preparing', 'TornDown', 'Failed'].includes(state)) return;
  draft.progress.reached('TargetReady', 'AtCreateGate', 'The new pod waits for the images.');
  if (state === 'AtResumeGate' || state === 'Running') {
    draft.progress.reached('Restored', 'AtResumeGate');
  }
}

function underWay(observed: Observed, draft: Draft, now: number): RestorePlan {
  const { request, pod, identity } = observed;
  const { target, targetAgent } = request.status ?? {};
  follow(observed, draft);
  const effects: Effect[] = [];
  if (pod && target && isTargetOf(pod, request)) {
    draft.status.target = { ...target, podUID: pod.metadata.uid };
    draft.progress.waiting('TargetReady', 'TargetPodCreated', targetProgress(pod));
  } else if (!pod && target && target.podUID === undefined && !('reason' in identity)) {
    effects.push(create(target.nodeName, identity));
  }
  const cause = abortCause(observed, now);
  if (cause) {
    draft.progress.waiting('Succeeded', cause.reason, cause.message);
    return draft.plan('TearingDown', [{ type: 'ProposeAbort', ...cause }], pollMs);
  }
  const prepared = isPrepared(request);
  if (prepared && draft.status.deadlines?.blackout === undefined) {
    const blackout = timestamp(now + request.spec.timeouts.blackoutSeconds * 1000);
    draft.status.deadlines = { ...draft.status.deadlines, blackout };
  }
  return draft.plan(phaseOf(targetAgent?.state), effects, untilNext(observed, draft.status, now));
}

function untilNext({ pod }: Observed, status: OwnStatus, now: number): number {
  const { prepare, blackout } = status.deadlines ?? {};
  const deadline = blackout ?? prepare;
  const at = deadline === undefined ? Infinity : Date.parse(deadline) + 1;
  const recheck = (pod && targetProblem(pod, now).recheckAt) ?? Infinity;
  return Math.min(pollMs, Math.max(0, Math.min(at, recheck) - now));
}

function phaseOf(state: TargetState | undefined): OwnStatus['phase'] {
  switch (state) {
    case undefined:
    case 'Preparing':
      return 'Preparing';
    case 'AtCreateGate':
    case 'Receiving':
      return 'Transferring';
    default:
      return 'Restoring';
  }
}

function committed(observed: Observed, draft: Draft, decision: Decision, now: number): RestorePlan {
  const { request, pod, podName } = observed;
  const { target, targetAgent } = request.status ?? {};
  follow(observed, draft);
  draft.progress.reached('Committed', 'Committed', `By ${decision.by} at ${decision.time}.`);
  const owned = pod !== undefined && isTargetOf(pod, request);
  if (owned && target) draft.status.target = { ...target, podUID: pod.metadata.uid };
  if (owned && pod.metadata.labels[labels.role] !== undefined) {
    return draft.plan('Resuming', [{ type: 'LabelPod' }], pollMs);
  }
  const settle = confirmationDeadline(draft.status, now + commitConfirmationMs);
  if (!owned) return draft.finish(now, false, 'TargetLost', `The new pod ${podName} is gone.`);
  const release: Effect[] = [{ type: 'DetachPod' }];
  if (targetAgent?.state === 'Running') {
    const text = `Pod ${podName} runs on ${target?.nodeName ?? ''}.`;
    return draft.finish(now, true, 'PodRestored', text, release);
  }
  if (targetAgent?.state === 'Failed' || targetAgent?.state === 'TornDown' || now > settle) {
    const text = targetAgent?.message ?? `The new pod ${podName} could not be resumed.`;
    return draft.finish(now, false, 'TargetLost', text, release);
  }
  draft.progress.waiting('Succeeded', 'Committed', 'The new pod is being resumed.');
  return draft.plan('Resuming', [], Math.min(pollMs, Math.max(0, settle - now) + 1));
}

function aborted(observed: Observed, draft: Draft, decision: Decision, now: number): RestorePlan {
  const { request, pod } = observed;
  follow(observed, draft);
  draft.progress.set('Committed', 'False', decision.reason, decision.message);
  draft.progress.waiting('Succeeded', decision.reason, decision.message);
  if (!pod || !isTargetOf(pod, request)) {
    const where = failureHints(decision, [
      request.status?.sourceAgent,
      request.status?.targetAgent,
    ]);
    return draft.finish(now, false, decision.reason, decision.message + where);
  }
  // A node that is gone does not finish what it is asked to delete.
  const settle = confirmationDeadline(draft.status, now + abortConfirmationMs);
  const late = now > settle;
  if (!late && pod.metadata.deletionTimestamp !== undefined) {
    return draft.plan('TearingDown', [], Math.min(pollMs, settle - now + 1));
  }
  const effect: Effect = { type: 'DeletePod', uid: pod.metadata.uid, force: late };
  return draft.plan('TearingDown', [effect], late ? 1000 : pollMs);
}

/** Finished: nothing may be left behind. */
function afterwards({ request, pod }: Observed): RestorePlan {
  const effects: Effect[] = [];
  const own = pod && isTargetOf(pod, request) ? pod : undefined;
  const outcome = request.status?.decision?.outcome;
  if (outcome === 'Aborted' && own && own.metadata.deletionTimestamp === undefined) {
    effects.push({ type: 'DeletePod', uid: own.metadata.uid, force: false });
  }
  if (outcome === 'Committed' && own && namesRequest(own)) effects.push({ type: 'DetachPod' });
  if (request.metadata.finalizers.includes(finalizers.active)) {
    effects.push({ type: 'RemoveFinalizer' });
  }
  return { status: undefined, effects };
}
