// SPDX-License-Identifier: Apache-2.0
// What to do next about a RestoreRequest. Pure. There is no source that goes on, so the decision only
// says whether the new pod runs.
import {
  conditionTypes,
  finalizers,
  isFinished,
  labels,
  type CheckpointRequest,
  type Decision,
  type RestoreConditionType,
  type RestoreRequest,
  type RestoreRequestStatus,
} from '../../../crds/src/index.ts';
import { timestamp, type Node, type Plan, type Pod } from '../../../kube/src/index.ts';
import type { Cause } from '../migration/abort.ts';
import { agentAddress, chooseNode } from '../node-choice.ts';
import { isTargetOf } from '../ownership.ts';
import { Progress } from '../progress.ts';
import type { Refusal } from '../refusal.ts';
import { makeReport } from '../report.ts';
import { targetProgress, targetTrouble } from '../target-health.ts';

const pollMs = 15_000;
export const settleMs = 300_000;

export interface Observed {
  readonly request: RestoreRequest;
  readonly checkpoint: CheckpointRequest | undefined;
  /** The pod that has the new pod's name. */
  readonly pod: Pod | undefined;
  readonly podName: string;
  readonly nodes: readonly Node[];
  readonly load: ReadonlyMap<string, number>;
}

export type Effect =
  | { readonly type: 'addFinalizer' | 'removeFinalizer' | 'createPod' | 'labelPod' }
  | { readonly type: 'deletePod'; readonly uid: string }
  | { readonly type: 'abort'; readonly reason: string; readonly message: string };

export const ownedStatus = [
  'observedGeneration',
  'phase',
  'startTime',
  'completionTime',
  'conditions',
  'checkpointId',
  'digest',
  'source',
  'target',
  'deadlines',
  'report',
] as const;
export type OwnStatus = Pick<RestoreRequestStatus, (typeof ownedStatus)[number]>;
export type RestorePlan = Plan<Effect, OwnStatus>;

export function decideRestore(observed: Observed, now: number): RestorePlan {
  const { request } = observed;
  const { metadata, status } = request;
  if (isFinished(request)) return afterwards(request);
  const draft = new Draft(request, now);
  if (!metadata.finalizers.includes(finalizers.active)) {
    if (metadata.deletionTimestamp !== undefined) return { status: undefined, effects: [] };
    return draft.plan('Pending', [{ type: 'addFinalizer' }], 0);
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
  readonly progress: Progress<RestoreConditionType>;
  status: OwnStatus;
  readonly #request: RestoreRequest;

  constructor(request: RestoreRequest, now: number) {
    this.#request = request;
    const { status, metadata } = request;
    const types = conditionTypes.RestoreRequest;
    this.progress = new Progress(types, status?.conditions, now, metadata.generation);
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

  finish(now: number, succeeded: boolean, reason: string, message: string): RestorePlan {
    this.progress.finish('Succeeded', succeeded, reason, message);
    this.status.completionTime = timestamp(now);
    const phase = succeeded ? 'Succeeded' : reason === 'Cancelled' ? 'Cancelled' : 'Failed';
    return this.plan(phase, [{ type: 'removeFinalizer' }]);
  }
}

function begin(observed: Observed, draft: Draft, now: number): RestorePlan {
  const { request, checkpoint, podName } = observed;
  if (request.metadata.deletionTimestamp !== undefined) {
    return draft.finish(now, false, 'Cancelled', 'Cancelled before anything was done.');
  }
  const chosen = validate(observed);
  if ('reason' in chosen) {
    draft.progress.set('Validated', 'False', chosen.reason, chosen.message);
    return draft.finish(now, false, chosen.reason, chosen.message);
  }
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
  return draft.plan('Preparing', [{ type: 'createPod' }], pollMs);
}

function validate(observed: Observed): Node | Refusal {
  const { request, checkpoint, pod, podName, nodes, load } = observed;
  const name = request.spec.checkpointName;
  if (!checkpoint) {
    return { reason: 'CheckpointNotFound', message: `There is no CheckpointRequest ${name} here.` };
  }
  const { status } = checkpoint;
  const stored = status?.conditions?.some(
    (one) => one.type === 'Succeeded' && one.status === 'True',
  );
  if (!stored || !status?.podTemplate || checkpoint.metadata.deletionTimestamp !== undefined) {
    return {
      reason: 'CheckpointNotReady',
      message: `CheckpointRequest ${name} has no images: its phase is ${status?.phase ?? 'Pending'}.`,
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
  const { request, pod } = observed;
  const { target, targetAgent } = request.status ?? {};
  follow(observed, draft);
  const effects: Effect[] = [];
  if (pod && target && isTargetOf(pod, request)) {
    draft.status.target = { ...target, podUID: pod.metadata.uid };
    draft.progress.waiting('TargetReady', 'TargetPodCreated', targetProgress(pod));
  } else if (!pod && target?.podUID === undefined) {
    effects.push({ type: 'createPod' });
  }
  const prepared = targetAgent !== undefined && targetAgent.state !== 'Preparing';
  if (prepared && draft.status.deadlines?.blackout === undefined) {
    const blackout = timestamp(now + request.spec.timeouts.blackoutSeconds * 1000);
    draft.status.deadlines = { ...draft.status.deadlines, blackout };
  }
  const cause = abortCause(observed, now);
  if (cause) return draft.plan('TearingDown', [{ type: 'abort', ...cause }], pollMs);
  const { prepare, blackout } = draft.status.deadlines ?? {};
  const deadline = Date.parse(blackout ?? prepare ?? timestamp(now + pollMs));
  const phase = prepared ? 'Restoring' : 'Preparing';
  return draft.plan(phase, effects, Math.min(pollMs, Math.max(0, deadline - now) + 1));
}

function abortCause(observed: Observed, now: number): Cause | undefined {
  const { request, pod, podName } = observed;
  const { sourceAgent, targetAgent, target } = request.status ?? {};
  if (request.metadata.deletionTimestamp !== undefined) {
    return { reason: 'Cancelled', message: 'The request was deleted.' };
  }
  for (const agent of [sourceAgent, targetAgent]) {
    if (agent?.state !== 'Failed' && agent?.state !== 'TornDown') continue;
    const reason = agent.reason ?? 'TargetFailed';
    return { reason, message: agent.message ?? 'An agent gave up.' };
  }
  if (target?.podUID !== undefined && pod?.metadata.uid !== target.podUID) {
    return { reason: 'TargetGone', message: `The new pod ${podName} was deleted.` };
  }
  const trouble = pod && targetTrouble(pod, now).refusal;
  if (trouble) return trouble;
  return deadlineCause(request, now);
}

function deadlineCause({ spec, status }: RestoreRequest, now: number): Cause | undefined {
  const { prepare, blackout } = status?.deadlines ?? {};
  if (blackout !== undefined) {
    if (now <= Date.parse(blackout)) return undefined;
    const message = `Not restored within ${spec.timeouts.blackoutSeconds} s of being prepared.`;
    return { reason: 'BlackoutDeadlineExceeded', message };
  }
  if (prepare === undefined || now <= Date.parse(prepare)) return undefined;
  const message = `Not prepared within ${spec.timeouts.prepareSeconds} s.`;
  return { reason: 'PrepareDeadlineExceeded', message };
}

function committed(observed: Observed, draft: Draft, decision: Decision, now: number): RestorePlan {
  const { request, pod, podName } = observed;
  const { target, targetAgent } = request.status ?? {};
  follow(observed, draft);
  draft.progress.reached('Committed', 'Committed', `By ${decision.by} at ${decision.time}.`);
  const owned = pod !== undefined && isTargetOf(pod, request);
  if (owned && target) draft.status.target = { ...target, podUID: pod.metadata.uid };
  if (owned && pod.metadata.labels[labels.role] !== undefined) {
    return draft.plan('Resuming', [{ type: 'labelPod' }], pollMs);
  }
  const settle = Date.parse(decision.time) + settleMs;
  if (!owned) return draft.finish(now, false, 'TargetLost', `The new pod ${podName} is gone.`);
  if (targetAgent?.state === 'Running') {
    const text = `Pod ${podName} runs on ${target?.nodeName ?? ''}.`;
    return draft.finish(now, true, 'PodRestored', text);
  }
  if (targetAgent?.state === 'Failed' || targetAgent?.state === 'TornDown' || now > settle) {
    const text = targetAgent?.message ?? `The new pod ${podName} could not be resumed.`;
    return draft.finish(now, false, 'TargetLost', text);
  }
  return draft.plan('Resuming', [], Math.min(pollMs, settle - now + 1));
}

function aborted(observed: Observed, draft: Draft, decision: Decision, now: number): RestorePlan {
  const { request, pod } = observed;
  draft.progress.set('Committed', 'False', decision.reason, decision.message);
  if (pod && isTargetOf(pod, request)) {
    const effects: Effect[] =
      pod.metadata.deletionTimestamp === undefined
        ? [{ type: 'deletePod', uid: pod.metadata.uid }]
        : [];
    return draft.plan('TearingDown', effects, pollMs);
  }
  return draft.finish(now, false, decision.reason, decision.message);
}

function afterwards({ metadata }: RestoreRequest): RestorePlan {
  const left = metadata.finalizers.includes(finalizers.active);
  return { status: undefined, effects: left ? [{ type: 'removeFinalizer' }] : [] };
}
