// SPDX-License-Identifier: Apache-2.0
// What to do next about a CheckpointRequest. Pure.
import {
  conditionTypes,
  imagesRemoved,
  finalizers,
  isFinished,
  isStored,
  restorable,
  type CheckpointRequest,
} from '../../../crds/src/index.ts';
import {
  getCondition,
  setCondition,
  timestamp,
  type ConditionValue,
  type Node,
} from '../../../kube/src/index.ts';
import { agentProblem, chooseNode, cpuFeaturesOf } from '../nodes/node-choice.ts';
import { refuseCompeting } from '../requests/competing-requests.ts';
import { pollMs } from '../requests/deadlines.ts';
import { remainingMs, type Finished } from '../requests/finished.ts';
import type { Refusal } from '../refusal.ts';
import { pick, StatusDraft } from '../requests/status-draft.ts';
import { refuseAnyController } from '../target-pod/controllers.ts';
import { refusePeers, refusePod } from '../target-pod/pod-rules.ts';
import { sharedVolumeRefusals } from '../target-pod/volume-rules.ts';
import {
  ownedStatus,
  type CheckpointDraft,
  type CheckpointPlan,
  type Observed,
  type OwnStatus,
} from './types.ts';

/** The agent gives up at the deadline; it may need this long to report so. */
const reportGraceMs = 60_000;

export function decideCheckpoint(observed: Observed, now: number): CheckpointPlan {
  const { request } = observed;
  if (request.metadata.deletionTimestamp !== undefined) return remove(observed, now);
  if (isFinished(request)) {
    const { seen, ...plan } = afterFinish(observed, now);
    const status = restorability(request, now) ?? (seen && ownOf(request));
    if (plan.effects.length > 0) return { ...plan, status: undefined };
    return { ...plan, status: status && { ...status, ...(seen && { finishedSeen: seen }) } };
  }
  const types = conditionTypes.CheckpointRequest;
  const draft: CheckpointDraft = new StatusDraft(request, types, ownedStatus, now);
  if (!request.metadata.finalizers.includes(finalizers.images)) {
    return draft.plan('Pending', [{ type: 'AddFinalizer' }], 0);
  }
  return request.status?.podUID === undefined
    ? accept(observed, draft)
    : followAgent(request, draft);
}

function accept(observed: Observed, draft: CheckpointDraft): CheckpointPlan {
  const { request, pod, template, nodes } = observed;
  const { progress, now } = draft;
  const refusal = refuse(observed);
  if (refusal) return draft.refuse(refusal);
  if (!pod || !template || 'reason' in template) throw new Error('a missing pod was not refused');
  progress.accepted(`The pod runs on node ${pod.spec.nodeName}, which is to store the images.`);
  const node = nodes.find((one) => one.metadata.name === pod.spec.nodeName);
  const features = node && cpuFeaturesOf(node);
  draft.status = {
    ...draft.status,
    nodeName: pod.spec.nodeName,
    podUID: pod.metadata.uid,
    ...(features !== undefined && { cpuFeatures: features }),
    checkpointId: request.metadata.uid,
    deadline: timestamp(now + request.spec.timeoutSeconds * 1000),
    podTemplate: { metadata: { ...template.metadata }, spec: template.spec },
  };
  return draft.plan('Checkpointing', [], pollMs);
}

function refuse(observed: Observed): Refusal | undefined {
  const { request, pod, nodeTime, volumes, template, others, nodes } = observed;
  const known = { volumes, isCheckpoint: true };
  const refusal =
    refusePod(pod, request.spec.podName, nodeTime, known) ?? refuseCompeting(request, others);
  if (refusal || !pod) return refusal;
  const [sharedVolume] = sharedVolumeRefusals(pod);
  if (sharedVolume) return sharedVolume;
  const controllerRefusal = refuseAnyController(pod);
  if (controllerRefusal) return controllerRefusal;
  if (template && 'reason' in template) return template;
  const peersRefusal = refusePeers(pod);
  if (peersRefusal) return peersRefusal;
  const from = pod.spec.nodeName;
  const node = chooseNode({ nodes, from, mayStay: true, wanted: from, load: new Map() });
  // A cordoned node can still take a checkpoint: users want one before they drain it.
  return 'reason' in node && node.reason === 'SourceNodeUnavailable' ? node : undefined;
}

/** Accepted: shows what the agent reports, and ends with it or at the deadline. */
function followAgent({ status }: CheckpointRequest, draft: CheckpointDraft): CheckpointPlan {
  const { agent, nodeName = '', deadline } = status ?? {};
  const { progress, now } = draft;
  const state = agent?.state;
  if (state === 'Dumping' || state === 'Stored')
    progress.reached(
      'Quiesced',
      'Held',
      'The pod is locked, its RDMA device is held and its tasks are frozen.',
    );
  if (state === 'Stored') {
    progress.reached('Checkpointed', 'ImagesWritten', 'The images of the pod are complete.');
    const location = agent?.path === undefined ? undefined : `${nodeName}:${agent.path}`;
    const { digest, bytes, size } = agent ?? {};
    draft.status = { ...draft.status, digest, bytes, size, location };
    return draft.finish(true, 'CheckpointStored', 'The images are stored; the pod has resumed.');
  }
  if (state === 'Failed') {
    const message =
      agent?.message ??
      `The Sealift agent of node ${nodeName} could not take the checkpoint and gave no reason. See the logs of the agent's pod on that node.`;
    return draft.finish(false, agent?.reason ?? 'CheckpointFailed', message);
  }
  const limit = Date.parse(deadline ?? '') + reportGraceMs;
  if (now > limit) {
    const message = `Node ${nodeName} has not reported the checkpoint's outcome within the deadline (spec.timeoutSeconds). Look at the node and its Sealift agent.`;
    return draft.finish(false, 'CheckpointFailed', message);
  }
  return draft.plan('Checkpointing', [], Math.min(pollMs, limit - now + 1));
}

/** Finished: the request and its images are kept as long as spec.retention says. */
function afterFinish(
  { request, finished, inUse, newer }: Observed,
  now: number,
): Omit<CheckpointPlan, 'status'> & Pick<Finished, 'seen'> {
  const { ttlSecondsAfterFinished, retention } = request.spec;
  const { ttlSeconds, keepLast } = retention ?? {};
  const ttls = [ttlSeconds, ttlSecondsAfterFinished].filter((one) => one !== undefined);
  const ttl = ttls.length > 0 ? Math.min(...ttls) : undefined;
  const isSurplus = keepLast !== undefined && newer >= keepLast;
  if (!isSurplus) {
    if (ttl === undefined) return { effects: [] };
    const waitMs = remainingMs(finished, ttl, now);
    if (waitMs > 0) return { effects: [], requeueAfterMs: waitMs, seen: finished?.seen };
  }
  if (inUse) return { effects: [], requeueAfterMs: pollMs };
  return { effects: [{ type: 'DeleteRequest' }] };
}

/**
 * The status with the condition `Restorable`, if the agent has found that the images cannot be read, or that they can be
 * read again: their key is gone from its Secret, or is back.
 */
function restorability(request: CheckpointRequest, now: number): OwnStatus | undefined {
  const { conditions = [], agent } = request.status ?? {};
  const shown = getCondition(conditions, restorable);
  if (!isStored(request) || agent?.state !== 'Stored') return undefined;
  const { reason, message = '' } = agent;
  if (reason === undefined) {
    const others = conditions.filter((one) => one.type !== restorable);
    return shown ? { ...ownOf(request), conditions: others } : undefined;
  }
  if (shown?.reason === reason && shown.message === message) return undefined;
  const value: ConditionValue = { type: restorable, status: 'False', reason, message };
  const { generation } = request.metadata;
  return { ...ownOf(request), conditions: setCondition(conditions, value, now, generation) };
}

/** What the operator has written, to be written again with one part changed. */
const ownOf = ({ status }: CheckpointRequest): OwnStatus => pick(status, ownedStatus);

/** How long a deleted request waits for an agent that does not remove its images, or for that of a node that has none. */
export const abandonMs = 600_000;

/**
 * Deleted: the agent removes the images first. The images of a node that is gone are gone with it; those of a node whose
 * agent does not come back stay there. Those that an agent cannot remove now, it removes when it can: nobody owns them any more.
 */
function remove({ request, nodes }: Observed, now: number): CheckpointPlan {
  if (!request.metadata.finalizers.includes(finalizers.images)) {
    return { status: undefined, effects: [] };
  }
  const { nodeName, agent } = request.status ?? {};
  const hasNoImages = nodeName === undefined || agent?.state === 'Removed';
  const node = nodes.find((one) => one.metadata.name === nodeName);
  if (hasNoImages || !node) {
    return { status: undefined, effects: [{ type: 'RemoveFinalizer' }] };
  }
  const conditions = setCondition(
    request.status?.conditions ?? [],
    { type: imagesRemoved, ...waitsFor(node, request) },
    now,
    request.metadata.generation,
  );
  const status: OwnStatus = { ...ownOf(request), conditions };
  const { lastTransitionTime } = getCondition(conditions, imagesRemoved) ?? {};
  const waitMs = Date.parse(lastTransitionTime ?? '') + abandonMs - now;
  if (waitMs <= 0) return { status, effects: [{ type: 'RemoveFinalizer' }] };
  return { status, effects: [], requeueAfterMs: pollMs };
}

/** What keeps a deleted request: an agent at work, or a node without one. */
function waitsFor(node: Node, { status }: CheckpointRequest): Omit<ConditionValue, 'type'> {
  const { name } = node.metadata;
  const why = agentProblem(node);
  const minutes = abandonMs / 60_000;
  if (why === undefined) {
    const then = `After ${minutes} minutes of that the operator lets the request be deleted, and the agent removes them when it can.`;
    const { notRemoved } = status?.agent ?? {};
    return notRemoved === undefined
      ? {
          ...{ status: 'Unknown', reason: 'RemovingImages' },
          message: `The agent of node ${name} removes the images. ${then}`,
        }
      : { status: 'False', reason: 'ImagesNotRemoved', message: `${notRemoved} ${then}` };
  }
  const message = `The images are on node ${name}, ${why}. After ${minutes} minutes of that the operator lets the request be deleted, and the images stay: then remove /var/lib/sealift/checkpoints/${status?.checkpointId ?? ''} there.`;
  return { status: 'False', reason: 'NodeUnavailable', message };
}
