// SPDX-License-Identifier: Apache-2.0
// What is done about a source that was lost before the decision. Pure.
//   Fail                     nothing: the kubelet starts its containers from nothing, as it would without Sealift
//   RestoreNewestCheckpoint  the pod is deleted and gone, and only then a RestoreRequest is made: the kubelet could
//                            start the old one any time as long as it exists, and it has the name and the addresses
import {
  isStored,
  type CheckpointRequest,
  type Decision,
  type Recovery,
} from '../../../crds/src/index.ts';
import type { Effect, Observed } from './types.ts';

/**
 * How long a node may say nothing of a source that is to be restored elsewise: a reset node boots first, and until
 * it has said that nothing of the pod is left, a frozen copy may come back. Beyond the settling of other aborts.
 */
export const sourceLossGraceMs = 840_000;

export interface RecoveryPlan {
  readonly recovery: Recovery | undefined;
  readonly effects: readonly Effect[];
  /** Nothing is left to do; for people. */
  readonly done?: string;
}

/** Whether it was the source that was lost. A pod that ended well, or that somebody deleted, was not. */
export function isSourceLost({ request, sourcePod }: Observed, decision: Decision): boolean {
  const { sourceAgent, recovery } = request.status ?? {};
  if (recovery || decision.reason === 'SourceLost') return true;
  if (sourceAgent?.state !== 'Lost' || decision.reason === 'SourceGone') return false;
  return sourcePod?.status.phase !== 'Succeeded';
}

/** @param late the node has had all the time that it gets */
export function recover(observed: Observed, late: boolean): RecoveryPlan {
  const { request, restore } = observed;
  const known = request.status?.recovery;
  if (request.spec.onSourceLoss === 'Fail') {
    const done = lostPod(observed)
      ? 'Its containers start from nothing, as its restartPolicy says (spec.onSourceLoss is Fail).'
      : 'The pod was deleted meanwhile.';
    return { recovery: undefined, effects: [], done };
  }
  const recovery = known ?? begin(observed);
  const { checkpointName, restoreRequestName: name, message } = recovery;
  if (checkpointName === undefined || name === undefined) {
    return { recovery, effects: [], done: message ?? 'Nothing is restored.' };
  }
  const old = lostPod(observed);
  if (old) {
    const left = `Pod ${old.metadata.name} could not be deleted on node ${old.spec.nodeName}; nothing is restored.`;
    if (late) return { recovery: { message: left }, effects: [], done: left };
    const dying = old.metadata.deletionTimestamp !== undefined;
    return {
      recovery,
      effects: dying ? [] : [{ type: 'DeleteLostSource', uid: old.metadata.uid }],
    };
  }
  if (!restore)
    return { recovery, effects: [{ type: 'CreateRestoreRequest', name, checkpointName }] };
  const done = `RestoreRequest ${name} makes it anew from CheckpointRequest ${checkpointName}.`;
  return { recovery, effects: [], done };
}

function begin(observed: Observed): Recovery {
  const { request, checkpoints } = observed;
  if (request.metadata.deletionTimestamp !== undefined) {
    return { message: 'The request was deleted; nothing is restored.' };
  }
  const old = lostPod(observed);
  if (!old || old.metadata.deletionTimestamp !== undefined) {
    return { message: 'The pod was deleted meanwhile; nothing is restored.' };
  }
  const newest = newestOf(checkpoints, request.status?.source?.podUID);
  if (newest) {
    const restoreRequestName = restoreName(request.metadata);
    return { checkpointName: newest.metadata.name, restoreRequestName };
  }
  const message = `There is no CheckpointRequest of pod ${request.spec.podName} that has succeeded; nothing is restored.`;
  return { message };
}

/** The pod that was lost, as long as there is its object. */
function lostPod({ request, sourcePod }: Observed): Observed['sourcePod'] {
  return sourcePod?.metadata.uid === request.status?.source?.podUID ? sourcePod : undefined;
}

/** Of this very pod: a namesake's memory is another's. */
export function newestOf(
  checkpoints: readonly CheckpointRequest[],
  podUid: string | undefined,
): CheckpointRequest | undefined {
  return checkpoints
    .filter((one) => isStored(one) && one.status?.podUID === podUid)
    .toSorted((a, b) => timeOf(b) - timeOf(a) || (a.metadata.uid < b.metadata.uid ? 1 : -1))[0];
}

const timeOf = ({ status, metadata }: CheckpointRequest): number =>
  Date.parse(status?.completionTime ?? metadata.creationTimestamp);

/**
 * The same request always gives the same name. No owner reference: whoever deletes a move that has failed does not
 * want to lose the pod that is being made.
 */
export function restoreName(metadata: { readonly name: string; readonly uid: string }): string {
  const base = metadata.name.slice(0, 46).replace(/[^a-z0-9]+$/, '');
  return `${base}-restore-${metadata.uid.replaceAll('-', '').slice(0, 8)}`;
}
