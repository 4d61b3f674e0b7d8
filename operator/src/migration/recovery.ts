// SPDX-License-Identifier: Apache-2.0
// What is done about a source that was lost before the decision. Pure.
//   Fail                     nothing: the kubelet starts the containers from nothing, as it would without Sealift
//   RestoreNewestCheckpoint  the operator deletes the pod, waits until it is gone, and only then creates a
//                            RestoreRequest: the kubelet could start the old pod as long as it exists, and the old pod
//                            owns the name and the addresses
import {
  mayYetComplete,
  restoreAdvice,
  type Decision,
  type Recovery,
} from '../../../crds/src/index.ts';
import { isCompleted } from './abort-cause.ts';
import { newestFirst, storedOf } from '../requests/newest-first.ts';
import { sentences } from '../requests/message.ts';
import type { Effect, Observed } from './types.ts';

/**
 * How long a node may be silent about a source that is to be restored from a checkpoint, beyond the confirmation
 * deadline of other aborts. A reset node boots first. Until its agent has reported that nothing of the pod is left, a
 * frozen copy may come back.
 */
export const sourceLossGraceMs = 840_000;

export interface RecoveryPlan {
  readonly recovery: Recovery | undefined;
  readonly effects: readonly Effect[];
  /** For users; present once nothing is left to do. */
  readonly outcome?: string;
}

/** Whether the source was lost. A pod that has completed, or that a user deleted, was not. */
export function isSourceLost(observed: Observed, decision: Decision): boolean {
  const { sourceAgent, recovery } = observed.request.status ?? {};
  if (recovery) return true;
  if (isCompleted(observed)) return false;
  if (decision.reason === 'SourceLost') return true;
  return sourceAgent?.state === 'Lost' && decision.reason !== 'SourceGone';
}

/** Whether a pod without containers may yet be reported as completed: the kubelet does not start them again. */
export function mayComplete(observed: Observed): boolean {
  const pod = lostPod(observed);
  return !observed.request.status?.recovery && pod !== undefined && mayYetComplete(pod);
}

/** @param isOverdue the node has had all the time that it gets */
export function planRecovery(observed: Observed, isOverdue: boolean): RecoveryPlan {
  const { request, restore } = observed;
  const pod = lostPod(observed);
  if (request.spec.onSourceLoss === 'Fail') {
    const outcome = pod
      ? 'Its containers start from nothing, as its restartPolicy says (spec.onSourceLoss is Fail).'
      : 'The pod was deleted meanwhile.';
    return {
      recovery: undefined,
      effects: [],
      outcome: sentences([outcome, restoreAdvice(request)]),
    };
  }
  const recovery = request.status?.recovery ?? chooseCheckpoint(observed);
  const { checkpointName, restoreRequestName: name, message } = recovery;
  if (checkpointName === undefined || name === undefined) {
    return { recovery, effects: [], outcome: message ?? 'Nothing is restored.' };
  }
  if (pod) {
    if (isOverdue) {
      const outcome = `Pod ${pod.metadata.name} could not be deleted on node ${pod.spec.nodeName}; nothing is restored. Take the node out of service (taint node.kubernetes.io/out-of-service), then create a RestoreRequest with spec.checkpointName ${checkpointName}.`;
      return { recovery: { message: outcome }, effects: [], outcome };
    }
    if (pod.metadata.deletionTimestamp !== undefined) return { recovery, effects: [] };
    return { recovery, effects: [{ type: 'DeleteLostSource', uid: pod.metadata.uid }] };
  }
  if (!restore) {
    return { recovery, effects: [{ type: 'CreateRestoreRequest', name, checkpointName }] };
  }
  const outcome = `RestoreRequest ${name} restores it from CheckpointRequest ${checkpointName}.`;
  return { recovery, effects: [], outcome };
}

function chooseCheckpoint(observed: Observed): Recovery {
  const { request, checkpoints } = observed;
  if (request.metadata.deletionTimestamp !== undefined) {
    const deleted = 'The request was deleted; nothing is restored.';
    return { message: sentences([deleted, restoreAdvice(request)]) };
  }
  const pod = lostPod(observed);
  if (!pod || pod.metadata.deletionTimestamp !== undefined) {
    const deleted = 'The pod was deleted meanwhile; nothing is restored.';
    return { message: sentences([deleted, restoreAdvice(request)]) };
  }
  const [newest] = newestFirst(storedOf(request.status?.source?.podUID, checkpoints));
  if (newest) {
    const restoreRequestName = restoreName(request.metadata);
    return { checkpointName: newest.metadata.name, restoreRequestName };
  }
  const message = `There is no CheckpointRequest of pod ${request.spec.podName} that has succeeded; nothing is restored. Its containers start from nothing, as its restartPolicy says. Create a CheckpointRequest before the next move.`;
  return { message };
}

/** The pod that was lost, as long as its object exists. */
function lostPod({ request, sourcePod }: Observed): Observed['sourcePod'] {
  return sourcePod?.metadata.uid === request.status?.source?.podUID ? sourcePod : undefined;
}

/**
 * The same MigrationRequest always gives the same name. There is no owner reference: a user who deletes a failed
 * MigrationRequest keeps the pod that is being restored.
 */
export function restoreName(metadata: { readonly name: string; readonly uid: string }): string {
  const base = metadata.name.slice(0, 46).replace(/[^a-z0-9]+$/, '');
  return `${base}-restore-${metadata.uid.replaceAll('-', '').slice(0, 8)}`;
}
