// SPDX-License-Identifier: Apache-2.0
// What to do next about a CheckpointRequest. Pure.
import {
  conditionTypes,
  finalizers,
  isFinished,
  type CheckpointConditionType,
  type CheckpointRequest,
  type CheckpointRequestStatus,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import { timestamp, type Node, type Plan, type Pod } from '../../../kube/src/index.ts';
import { refuseCompeting } from '../migration/validate.ts';
import { chooseNode } from '../nodes/node-choice.ts';
import { refusePeers, refusePod } from '../target-pod/pod-rules.ts';
import { ConditionProgress } from '../requests/condition-progress.ts';
import type { Refusal } from '../requests/refusal.ts';
import type { Template } from '../target-pod/manifest.ts';

const pollMs = 15_000;
/** The agent gives up at the deadline; it may need this long to say so. */
const silenceMs = 60_000;

export interface Observed {
  readonly request: CheckpointRequest;
  readonly pod: Pod | undefined;
  /** Read only before the request is validated. */
  readonly template: Template | Refusal | undefined;
  readonly others: readonly (MigrationRequest | CheckpointRequest)[];
  readonly nodes: readonly Node[];
  /** A RestoreRequest reads the images; known only once the request has finished. */
  readonly inUse: boolean;
  /** Checkpoints of the same pod that have succeeded since; known only once the request has finished. */
  readonly newer: number;
}

export type Effect =
  { readonly type: 'AddFinalizer' | 'RemoveFinalizer' } | { readonly type: 'DeleteRequest' };

export const ownedStatus = [
  'observedGeneration',
  'phase',
  'startTime',
  'completionTime',
  'deadline',
  'conditions',
  'nodeName',
  'podUID',
  'checkpointId',
  'podTemplate',
  'location',
  'digest',
  'bytes',
  'size',
] as const;
export type OwnStatus = Pick<CheckpointRequestStatus, (typeof ownedStatus)[number]>;
export type CheckpointPlan = Plan<Effect, OwnStatus>;

export function decideCheckpoint(observed: Observed, now: number): CheckpointPlan {
  const { request } = observed;
  if (request.metadata.deletionTimestamp !== undefined) return remove(observed);
  if (isFinished(request)) return afterwards(observed, now);
  const draft = new Draft(request, now);
  if (!request.metadata.finalizers.includes(finalizers.images)) {
    return draft.plan('Pending', [{ type: 'AddFinalizer' }], 0);
  }
  if (request.status?.podUID === undefined) return begin(observed, draft, now);
  return underWay(request, draft, now);
}

class Draft {
  readonly progress: ConditionProgress<CheckpointConditionType>;
  status: OwnStatus;

  constructor(request: CheckpointRequest, now: number) {
    const { status, metadata } = request;
    const types = conditionTypes.CheckpointRequest;
    this.progress = new ConditionProgress(types, status?.conditions, now, metadata.generation);
    this.status = {
      ...ownPart(status),
      observedGeneration: metadata.generation,
      startTime: status?.startTime ?? timestamp(now),
    };
  }

  plan(
    phase: OwnStatus['phase'],
    effects: readonly Effect[],
    requeueAfterMs?: number,
  ): CheckpointPlan {
    const { conditions } = this.progress;
    return { status: { ...this.status, phase, conditions }, effects, requeueAfterMs };
  }

  finish(now: number, succeeded: boolean, reason: string, message: string): CheckpointPlan {
    this.progress.finish('Succeeded', succeeded, reason, message);
    this.status.completionTime = timestamp(now);
    return this.plan(succeeded ? 'Succeeded' : 'Failed', []);
  }
}

function ownPart(status: CheckpointRequestStatus | undefined): OwnStatus {
  const entries = ownedStatus.map((key) => [key, status?.[key]] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function begin(observed: Observed, draft: Draft, now: number): CheckpointPlan {
  const { request, pod, template } = observed;
  const refusal = refuse(observed, now);
  if (refusal) {
    draft.progress.set('Validated', 'False', refusal.reason, refusal.message);
    return draft.finish(now, false, refusal.reason, refusal.message);
  }
  if (!pod || !template || 'reason' in template) throw new Error('a missing pod was not refused');
  draft.progress.reached('Validated', 'Accepted', `On node ${pod.spec.nodeName}.`);
  draft.progress.waiting('Succeeded', 'Accepted');
  draft.status = {
    ...draft.status,
    nodeName: pod.spec.nodeName,
    podUID: pod.metadata.uid,
    checkpointId: request.metadata.uid,
    deadline: timestamp(now + request.spec.timeoutSeconds * 1000),
    podTemplate: { metadata: { ...template.metadata }, spec: template.spec },
  };
  return draft.plan('Checkpointing', [], pollMs);
}

function refuse(observed: Observed, now: number): Refusal | undefined {
  const { request, pod, template, others, nodes } = observed;
  const refusal = refusePod(pod, request.spec.podName, now) ?? refuseCompeting(request, others);
  if (refusal || !pod) return refusal;
  if (template && 'reason' in template) return template;
  const impatient = refusePeers(pod);
  if (impatient) return impatient;
  const question = {
    nodes,
    from: pod.spec.nodeName,
    mayStay: true,
    load: new Map<string, number>(),
  };
  const node = chooseNode({ ...question, wanted: pod.spec.nodeName });
  // A cordoned node can still take a checkpoint: it is what one wants before a drain.
  return 'reason' in node && node.reason === 'SourceNodeUnavailable' ? node : undefined;
}

function underWay(request: CheckpointRequest, draft: Draft, now: number): CheckpointPlan {
  const { agent, nodeName, deadline } = request.status ?? {};
  const { progress } = draft;
  const state = agent?.state;
  if (state === 'Dumping' || state === 'Stored') progress.reached('Quiesced', 'Held');
  if (state === 'Stored') {
    progress.reached('Checkpointed', 'ImagesWritten');
    const location = agent?.path === undefined ? undefined : `${nodeName ?? ''}:${agent.path}`;
    const { digest, bytes, size } = agent ?? {};
    draft.status = { ...draft.status, digest, bytes, size, location };
    return draft.finish(now, true, 'CheckpointStored', 'The images are stored; the pod runs on.');
  }
  if (state === 'Failed') {
    const text = agent?.message ?? 'The agent could not take the checkpoint.';
    return draft.finish(now, false, agent?.reason ?? 'CheckpointFailed', text);
  }
  const limit = Date.parse(deadline ?? '') + silenceMs;
  if (now > limit) {
    const text = `Node ${nodeName ?? ''} has not said within the deadline what became of it.`;
    return draft.finish(now, false, 'CheckpointFailed', text);
  }
  return draft.plan('Checkpointing', [], Math.min(pollMs, limit - now + 1));
}

function afterwards({ request, inUse, newer }: Observed, now: number): CheckpointPlan {
  const { completionTime } = request.status ?? {};
  const { ttlSeconds: ttl, keepLast } = request.spec.retention ?? {};
  const isSurplus = keepLast !== undefined && newer >= keepLast;
  if (!isSurplus) {
    if (ttl === undefined || completionTime === undefined)
      return { status: undefined, effects: [] };
    const left = Date.parse(completionTime) + ttl * 1000 - now;
    if (left > 0) return { status: undefined, effects: [], requeueAfterMs: left };
  }
  if (inUse) return { status: undefined, effects: [], requeueAfterMs: pollMs };
  return { status: undefined, effects: [{ type: 'DeleteRequest' }] };
}

/** The agent removes the images first; a node that is gone has taken them along. */
function remove({ request, nodes }: Observed): CheckpointPlan {
  if (!request.metadata.finalizers.includes(finalizers.images)) {
    return { status: undefined, effects: [] };
  }
  const { nodeName, agent } = request.status ?? {};
  const nothing = nodeName === undefined || agent?.state === 'Removed';
  const gone = !nodes.some((node) => node.metadata.name === nodeName);
  if (nothing || gone) return { status: undefined, effects: [{ type: 'RemoveFinalizer' }] };
  return { status: undefined, effects: [], requeueAfterMs: pollMs };
}
