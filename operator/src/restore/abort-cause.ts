// SPDX-License-Identifier: Apache-2.0
// Why an undecided restore has to be aborted. Pure.
import {
  agentCause,
  deadlineCause,
  deletionCause,
  targetCause,
  type AbortCause,
} from '../requests/abort-cause.ts';
import { refuseLostHostName } from '../target-pod/host-name.ts';
import { refuseOtherTarget, wantedOf } from '../target-pod/target-differences.ts';
import type { Observed } from './types.ts';

/** @returns the first cause; undefined: continue. */
export function abortCause(observed: Observed, now: number): AbortCause | undefined {
  const { request } = observed;
  return (
    deletionCause(request) ??
    agentCause(request) ??
    targetCause(observed, 'PodNameTaken') ??
    hostNameCause(observed) ??
    refuseOtherTarget(wantedOf(observed.checkpoint?.status?.podTemplate), observed.targetPod) ??
    creationCause(observed) ??
    deadlineCause(observed, now)
  );
}

function hostNameCause({
  request,
  checkpoint,
  targetPod,
  nodes,
}: Observed): AbortCause | undefined {
  const node = nodes.find((one) => one.metadata.name === request.status?.target?.nodeName);
  return refuseLostHostName(checkpoint?.status?.podTemplate?.spec, targetPod, node);
}

/** Why the target, which does not exist yet, can no longer be created. */
function creationCause(observed: Observed): AbortCause | undefined {
  const { request, checkpoint, identity, targetPod } = observed;
  if (targetPod) return undefined;
  const { podTemplate, checkpointId } = checkpoint?.status ?? {};
  if (!podTemplate || checkpointId !== request.status?.checkpointId) {
    return {
      reason: 'CheckpointNotFound',
      message: `CheckpointRequest ${request.spec.checkpointName} was deleted, and its images with it. Create a RestoreRequest with another one as spec.checkpointName ("kubectl get creq" lists them).`,
    };
  }
  return 'reason' in identity ? identity : undefined;
}
