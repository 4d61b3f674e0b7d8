// SPDX-License-Identifier: Apache-2.0
// Why an undecided handover has to be aborted: the causes that both kinds have. Pure.
import { isGivenUp, timeoutsOf } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import { targetProblem, waitOf } from '../target-pod/health.ts';
import { isTargetOf } from '../target-pod/ownership.ts';
import { isPrepared } from './deadlines.ts';
import type { HandoverObserved, HandoverRequest } from './handover-types.ts';
import { sentences } from './message.ts';

export interface AbortCause {
  readonly reason: string;
  readonly message: string;
}

export function deletionCause({ metadata }: HandoverRequest): AbortCause | undefined {
  if (metadata.deletionTimestamp === undefined) return undefined;
  return { reason: 'Cancelled', message: 'The request was deleted before the decision.' };
}

/** An agent that has reported a failure. */
export function agentCause({ status }: HandoverRequest): AbortCause | undefined {
  const { sourceAgent, targetAgent, source, target } = status ?? {};
  if (sourceAgent?.state === 'Failed' || sourceAgent?.state === 'Gone') {
    return {
      reason: sourceAgent.reason ?? 'SourceFailed',
      message: sourceAgent.message ?? silentFailure(source?.nodeName ?? '(unknown)'),
    };
  }
  if (targetAgent?.state === 'Failed' || targetAgent?.state === 'TornDown') {
    return {
      reason: targetAgent.reason ?? 'TargetFailed',
      message: targetAgent.message ?? silentFailure(target?.nodeName ?? '(unknown)'),
    };
  }
  return undefined;
}

const silentFailure = (node: string): string =>
  `The Sealift agent of node ${node} failed and gave no reason. See the logs of the agent's pod on that node.`;

/** Whether the target's agent says that its node has too little memory for this very pod. Nothing of the source was touched. */
export function refusesTarget({ status }: HandoverRequest, { metadata }: Pod): boolean {
  return status?.targetAgent?.refuses === metadata.uid && status.deadlines?.blackout === undefined;
}

/** What a user can do about a target's own problem, by its reason; others say it themselves. */
const advice: Readonly<Record<string, string | undefined>> = {
  TargetUnschedulable: 'Free resources there, or create a request for another node.',
  TargetFailed: "See the events of the request's namespace, then create a new request.",
};

/** @param nameTaken the reason if another pod has the target's name */
export function targetCause(
  { request, targetPod, unschedulableMs }: HandoverObserved,
  nameTaken: 'TargetRejected' | 'PodNameTaken',
): AbortCause | undefined {
  const { target } = request.status ?? {};
  const name = target?.podName ?? '';
  if (isGivenUp(request.status)) return undefined;
  if (target?.podUID !== undefined && targetPod?.metadata.uid !== target.podUID) {
    return {
      reason: 'TargetGone',
      message: `The target pod ${name} was deleted, and not by the operator. Create a new request to try again.`,
    };
  }
  if (targetPod && !isTargetOf(targetPod, request)) {
    return {
      reason: nameTaken,
      message: `Another pod has the target's name ${name}. Delete that pod, then create a new request.`,
    };
  }
  const { refusal } = targetPod
    ? targetProblem(targetPod, unschedulableMs, isPrepared(request))
    : {};
  if (refusal) return { ...refusal, message: sentences([refusal.message, advice[refusal.reason]]) };
  if (!targetPod || !refusesTarget(request, targetPod)) return undefined;
  const { reason = 'NotEnoughMemory', message = '' } = request.status?.targetAgent ?? {};
  return { reason, message };
}

export function deadlineCause(
  { request, targetPod }: HandoverObserved,
  now: number,
): AbortCause | undefined {
  const { deadlines, target } = request.status ?? {};
  const { prepareSeconds, blackoutSeconds } = timeoutsOf(request);
  const name = target?.podName ?? '';
  if (deadlines?.blackout !== undefined) {
    if (now <= Date.parse(deadlines.blackout)) return undefined;
    return {
      reason: 'BlackoutDeadlineExceeded',
      message: `Target pod ${name} was prepared, but not ready to run within ${blackoutSeconds} s. Raise spec.timeouts.blackoutSeconds if the pod needs longer.`,
    };
  }
  if (isPrepared(request) || deadlines?.prepare === undefined) return undefined;
  if (now <= Date.parse(deadlines.prepare)) return undefined;
  return {
    reason: 'PrepareDeadlineExceeded',
    message: `Target pod ${name} was not prepared on node ${target?.nodeName ?? ''} within ${prepareSeconds} s (spec.timeouts.prepareSeconds). ${lastSeen(targetPod)}See the events of that pod.`,
  };
}

function lastSeen(pod: Pod | undefined): string {
  const wait = pod && waitOf(pod);
  return wait === undefined ? '' : `It still waits for ${wait}. `;
}
