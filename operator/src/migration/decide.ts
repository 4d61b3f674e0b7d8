// SPDX-License-Identifier: Apache-2.0
// What to do next about a MigrationRequest. Pure: the same observation gives the same plan.
import {
  conditionTypes,
  finalizers,
  isFinished,
  labels,
  type Decision,
  type MigrationPhase,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import { timestamp } from '../../../kube/src/index.ts';
import { namesRequest, isTargetOf } from '../target-pod/ownership.ts';
import { ConditionProgress } from '../requests/condition-progress.ts';
import { makeReport } from '../requests/report.ts';
import { confirmationDeadline } from '../requests/confirmation-deadline.ts';
import { targetProgress } from '../target-pod/health.ts';
import { abortCause, nextDeadline } from './abort.ts';
import { isSourceLost, sourceLossGraceMs, recover } from './recovery.ts';
import type { Effect, MigrationPlan, MigrationProgress, Observed, OwnStatus } from './types.ts';
import { failureHints } from '../requests/failure-hints.ts';
import { validate } from './validate.ts';

/** Watches tell of changes; this catches what a watch has missed. */
const pollMs = 15_000;
/** How long a node may say nothing after the decision. */
export const abortConfirmationMs = 60_000;
export const commitConfirmationMs = 300_000;

export function decideMigration(observed: Observed, now: number): MigrationPlan {
  const { request } = observed;
  if (isFinished(request)) return afterwards(observed);
  const draft = new Draft(request, now);
  if (!request.metadata.finalizers.includes(finalizers.active)) {
    if (request.metadata.deletionTimestamp !== undefined) return { status: undefined, effects: [] };
    return draft.plan('Pending', [{ type: 'AddFinalizer' }], 0);
  }
  const decision = request.status?.decision;
  if (decision?.outcome === 'Committed') return committed(observed, draft, decision, now);
  if (decision?.outcome === 'Aborted') return aborted(observed, draft, decision, now);
  if (!request.status?.source) return begin(observed, draft, now);
  return underWay(observed, draft, now);
}

/** The operator's part of the status, as it will be published. */
class Draft {
  readonly progress: MigrationProgress;
  readonly status: OwnStatus;
  readonly #request: MigrationRequest;

  constructor(request: MigrationRequest, now: number) {
    this.#request = request;
    const { status, metadata } = request;
    this.progress = new ConditionProgress(
      conditionTypes.MigrationRequest,
      status?.conditions,
      now,
      metadata.generation,
    );
    this.status = {
      observedGeneration: metadata.generation,
      startTime: status?.startTime ?? timestamp(now),
      completionTime: status?.completionTime,
      source: status?.source,
      target: status?.target,
      peers: status?.peers,
      deadlines: status?.deadlines,
      recovery: status?.recovery,
    };
  }

  plan(phase: MigrationPhase, effects: readonly Effect[], requeueAfterMs?: number): MigrationPlan {
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
  ): MigrationPlan {
    this.progress.finish('Succeeded', succeeded, reason, message);
    this.status.completionTime = timestamp(now);
    const phase = succeeded ? 'Succeeded' : reason === 'Cancelled' ? 'Cancelled' : 'Failed';
    return this.plan(phase, [...before, { type: 'RemoveFinalizer' }]);
  }
}

function begin(observed: Observed, draft: Draft, now: number): MigrationPlan {
  const { request } = observed;
  if (request.metadata.deletionTimestamp !== undefined || request.spec.cancel) {
    return draft.finish(now, false, 'Cancelled', 'Cancelled before anything was done.');
  }
  const result = validate(observed, now);
  if ('reason' in result) {
    draft.progress.set('Validated', 'False', result.reason, result.message);
    return draft.finish(now, false, result.reason, result.message);
  }
  const { source, target, peers } = result;
  draft.progress.reached('Validated', 'Accepted', `From ${source.nodeName} to ${target.nodeName}.`);
  draft.progress.waiting('Succeeded', 'Accepted');
  draft.status.source = source;
  draft.status.target = target;
  draft.status.peers = peers;
  draft.status.deadlines = {
    prepare: timestamp(now + request.spec.timeouts.prepareSeconds * 1000),
  };
  return draft.plan('Preparing', [create(target)], pollMs);
}

const create = (target: { nodeName: string; podName?: string | undefined }): Effect => ({
  type: 'CreateTarget',
  nodeName: target.nodeName,
  podName: target.podName ?? '',
});

/** Accepted and not decided. */
function underWay(observed: Observed, draft: Draft, now: number): MigrationPlan {
  const { request, targetPod } = observed;
  const { targetAgent, target } = request.status ?? {};
  follow(observed, draft);
  const effects: Effect[] = [];
  if (targetPod && target && isTargetOf(targetPod, request)) {
    draft.status.target = { ...target, podUID: targetPod.metadata.uid };
    draft.progress.waiting('TargetReady', 'TargetPodCreated', targetProgress(targetPod));
  } else if (!targetPod && target && target.podUID === undefined) {
    effects.push(create(target));
  }
  const cause = abortCause(observed, now);
  if (cause) {
    draft.progress.waiting('Succeeded', cause.reason, cause.message);
    return draft.plan('RollingBack', [{ type: 'ProposeAbort', ...cause }], pollMs);
  }
  // The source holds from here on, so never together with a reason to stop.
  const isPrepared = targetAgent !== undefined && targetAgent.state !== 'Preparing';
  if (isPrepared && draft.status.deadlines?.blackout === undefined) {
    draft.status.deadlines = {
      ...draft.status.deadlines,
      blackout: timestamp(now + request.spec.timeouts.blackoutSeconds * 1000),
    };
  }
  const deadline = nextDeadline(observed, draft.status.deadlines, now);
  return draft.plan(phaseOf(request), effects, Math.min(pollMs, Math.max(0, deadline - now)));
}

function phaseOf(request: MigrationRequest): MigrationPhase {
  const { sourceAgent, targetAgent } = request.status ?? {};
  switch (targetAgent?.state) {
    case 'Restoring':
    case 'AtResumeGate':
    case 'Answering':
      return 'Restoring';
    default:
  }
  switch (sourceAgent?.state) {
    case 'Holding':
    case 'Dumping':
      return 'Holding';
    case 'Transferring':
    case 'Sent':
      return 'Transferring';
    default:
      return 'Preparing';
  }
}

/** Conditions that follow from what the agents say. */
function follow(observed: Observed, draft: Draft): void {
  const { sourceAgent, targetAgent } = observed.request.status ?? {};
  const { progress } = draft;
  const target = targetAgent?.state;
  const source = sourceAgent?.state;
  const past = <S>(state: S | undefined, states: readonly S[]): boolean =>
    state !== undefined && states.includes(state);
  const rebuilt = ['AtResumeGate', 'Answering', 'Running'] as const;
  if (past(target, ['AtCreateGate', 'Receiving', 'Restoring', ...rebuilt])) {
    progress.reached('TargetReady', 'AtCreateGate', 'The target waits for the images.');
  }
  if (past(source, ['Dumping', 'Transferring', 'Sent', 'Gone']))
    progress.reached('Quiesced', 'Held');
  if (past(source, ['Sent', 'Gone'])) progress.reached('Checkpointed', 'ImagesWritten');
  if (past(target, rebuilt)) progress.reached('Restored', 'AtResumeGate');
}

function committed(
  observed: Observed,
  draft: Draft,
  decision: Decision,
  now: number,
): MigrationPlan {
  const { request, targetPod } = observed;
  const { target, targetAgent } = request.status ?? {};
  follow(observed, draft);
  draft.progress.reached('Committed', 'Committed', `By ${decision.by} at ${decision.time}.`);
  const settle = confirmationDeadline(draft.status, now + commitConfirmationMs);
  const effects: Effect[] = [];
  const owned = targetPod !== undefined && isTargetOf(targetPod, request);
  if (owned && target) draft.status.target = { ...target, podUID: targetPod.metadata.uid };
  // Labels first: whoever selects the pod by them should find one at any time.
  const labelled = owned && targetPod.metadata.labels[labels.role] === undefined;
  if (owned && !labelled) effects.push({ type: 'LabelTarget' });
  const lost = lostReason(observed, owned, now > settle);
  effects.push(...deleteSource(observed, lost !== undefined));
  if (effects.length > 0) return draft.plan('Resuming', effects, pollMs);

  const release: Effect[] = owned ? [{ type: 'DetachTarget' }] : [];
  if (lost !== undefined) return draft.finish(now, false, 'TargetLost', lost, release);
  if (targetAgent?.state === 'Running') {
    const text = `Pod ${target?.podName ?? ''} runs on ${target?.nodeName ?? ''}.`;
    return draft.finish(now, true, 'Moved', text, release);
  }
  draft.progress.waiting('Succeeded', 'Committed', 'The target is being resumed.');
  return draft.plan('Resuming', [], Math.min(pollMs, Math.max(0, settle - now) + 1));
}

/**
 * Once the source answers nobody any more, by its own word or because the target has gone on without it. A kubelet that
 * deletes it earlier would leave peers without an answer: docs/adr/0008.
 */
function deleteSource({ request, sourcePod }: Observed, isLost: boolean): Effect[] {
  const { source, sourceAgent, targetAgent } = request.status ?? {};
  if (sourcePod === undefined || sourcePod.metadata.uid !== source?.podUID) return [];
  const handedOver = sourceAgent?.state === 'Gone' || targetAgent?.state === 'Running';
  if (!isLost && !handedOver) return [];
  return [{ type: 'DeleteSource', uid: sourcePod.metadata.uid }];
}

function lostReason(observed: Observed, owned: boolean, late: boolean): string | undefined {
  const { targetAgent, target } = observed.request.status ?? {};
  const name = target?.podName ?? '';
  if (!owned) return `The target pod ${name} was deleted after the decision.`;
  if (targetAgent?.state === 'Failed' || targetAgent?.state === 'TornDown') {
    return targetAgent.message ?? `The target pod ${name} could not be resumed.`;
  }
  if (late && targetAgent?.state !== 'Running') {
    return `Node ${target?.nodeName ?? ''} has not said for ${commitConfirmationMs / 1000} s that pod ${name} runs.`;
  }
  return undefined;
}

function aborted(observed: Observed, draft: Draft, decision: Decision, now: number): MigrationPlan {
  const { request, targetPod } = observed;
  const { sourceAgent } = request.status ?? {};
  follow(observed, draft);
  draft.progress.set('Committed', 'False', decision.reason, decision.message);
  draft.progress.waiting('Succeeded', decision.reason, decision.message);
  if (sourceAgent?.state === 'Resumed') {
    draft.progress.set('Quiesced', 'False', 'Resumed', 'The source runs again.');
  }
  const settle = confirmationDeadline(draft.status, now + abortConfirmationMs);
  const late = now > settle;
  if (targetPod && isTargetOf(targetPod, request)) {
    const dying = targetPod.metadata.deletionTimestamp !== undefined;
    if (late || !dying) {
      const effect: Effect = { type: 'DeleteTarget', uid: targetPod.metadata.uid, force: late };
      return draft.plan('RollingBack', [effect], late ? 1000 : pollMs);
    }
    return draft.plan('RollingBack', [], Math.min(pollMs, settle - now + 1));
  }
  const touched = ['Holding', 'Dumping', 'Transferring', 'Sent'].includes(sourceAgent?.state ?? '');
  const patience = request.spec.onSourceLoss === 'Fail' ? 0 : sourceLossGraceMs;
  const until = settle + patience - now + 1;
  if (touched && until > 0) return draft.plan('RollingBack', [], Math.min(pollMs, until));
  if (isSourceLost(observed, decision)) return lost(observed, draft, decision, until, now);
  const left = touched
    ? ` Node ${request.status?.source?.nodeName ?? ''} has not confirmed that the source runs again.`
    : '';
  const where = failureHints(decision, [sourceAgent, request.status?.targetAgent]);
  return draft.finish(now, false, decision.reason, decision.message + where + left);
}

/** Aborted, the target gone, and the source is not what it was. */
function lost(
  observed: Observed,
  draft: Draft,
  decision: Decision,
  untilMs: number,
  now: number,
): MigrationPlan {
  const { sourceAgent } = observed.request.status ?? {};
  const { recovery, effects, done } = recover(observed, untilMs <= 0);
  draft.status.recovery = recovery;
  const how = sourceAgent?.state === 'Lost' ? sourceAgent.message : undefined;
  const where = failureHints(decision, [sourceAgent, observed.request.status?.targetAgent]);
  const what = `The source is lost: ${how ?? decision.message}`;
  const why = decision.reason === 'SourceLost' ? where : ` (Aborted: ${decision.message})`;
  if (done !== undefined) {
    return draft.finish(now, false, 'SourceLost', `${what}${why} ${done}`.slice(0, 4096));
  }
  draft.progress.waiting('Succeeded', 'SourceLost', what);
  const made = effects.some((one) => one.type === 'CreateRestoreRequest');
  return draft.plan('RollingBack', effects, made ? 0 : Math.min(pollMs, Math.max(untilMs, 0)));
}

/** Finished: agents may still complete the report, and nothing may be left behind. */
function afterwards(observed: Observed): MigrationPlan {
  const { request, targetPod } = observed;
  const status = request.status ?? {};
  const effects: Effect[] = [];
  const own = targetPod && isTargetOf(targetPod, request) ? targetPod : undefined;
  const outcome = status.decision?.outcome;
  if (outcome === 'Aborted' && own && own.metadata.deletionTimestamp === undefined) {
    effects.push({ type: 'DeleteTarget', uid: own.metadata.uid, force: false });
  }
  if (outcome === 'Committed' && own && namesRequest(own)) effects.push({ type: 'DetachTarget' });
  if (request.metadata.finalizers.includes(finalizers.active)) {
    effects.push({ type: 'RemoveFinalizer' });
  }
  const { observedGeneration, phase, startTime, completionTime, conditions } = status;
  const { source, target, peers, deadlines, recovery } = status;
  const kept = {
    observedGeneration,
    phase,
    startTime,
    completionTime,
    conditions,
    source,
    target,
    peers,
    deadlines,
    recovery,
  };
  return { status: { ...kept, report: makeReport(status) }, effects };
}
