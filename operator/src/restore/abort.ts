// SPDX-License-Identifier: Apache-2.0
// Why a restore that is not decided has to stop. Pure.
import type { RestoreRequest } from '../../../crds/src/index.ts';
import type { AbortCause } from '../migration/abort.ts';
import { isTargetOf } from '../target-pod/ownership.ts';
import { targetProblem } from '../target-pod/health.ts';
import type { Observed } from './types.ts';

/** Whether the new pod is at its create gate, or past it. */
export const isPrepared = ({ status }: RestoreRequest): boolean =>
  status?.targetAgent !== undefined && status.targetAgent.state !== 'Preparing';

/** @returns the first cause; undefined: go on. */
export function abortCause(observed: Observed, now: number): AbortCause | undefined {
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
  if (pod && !isTargetOf(pod, request)) {
    return { reason: 'PodNameTaken', message: `Another pod has the name ${podName}.` };
  }
  if (target?.podUID !== undefined && pod?.metadata.uid !== target.podUID) {
    return { reason: 'TargetGone', message: `The new pod ${podName} was deleted.` };
  }
  const trouble = pod ? targetProblem(pod, now).refusal : creationTrouble(observed);
  return trouble ?? deadlineCause(request, now);
}

/** Why the pod, which does not exist yet, can no longer be created. */
function creationTrouble({ request, checkpoint, identity }: Observed): AbortCause | undefined {
  if (
    !checkpoint?.status?.podTemplate ||
    checkpoint.status.checkpointId !== request.status?.checkpointId
  ) {
    const message = `CheckpointRequest ${request.spec.checkpointName} was deleted.`;
    return { reason: 'CheckpointNotFound', message };
  }
  return 'reason' in identity ? identity : undefined;
}

function deadlineCause(request: RestoreRequest, now: number): AbortCause | undefined {
  const { timeouts } = request.spec;
  const { deadlines, target } = request.status ?? {};
  const { prepare, blackout } = deadlines ?? {};
  if (blackout !== undefined) {
    if (now <= Date.parse(blackout)) return undefined;
    const message = `Not restored within ${timeouts.blackoutSeconds} s of being prepared (spec.timeouts.blackoutSeconds).`;
    return { reason: 'BlackoutDeadlineExceeded', message };
  }
  if (isPrepared(request) || prepare === undefined || now <= Date.parse(prepare)) return undefined;
  const message = `Not prepared within ${timeouts.prepareSeconds} s (spec.timeouts.prepareSeconds); see the events of pod ${target?.podName ?? ''}.`;
  return { reason: 'PrepareDeadlineExceeded', message };
}
