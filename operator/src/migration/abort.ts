// SPDX-License-Identifier: Apache-2.0
// Why an undecided move has to stop. Pure.
import type { Deadlines } from '../../../crds/src/index.ts';
import { isTargetOf } from '../target-pod/ownership.ts';
import { restartsOf } from '../target-pod/pod-rules.ts';
import { targetProblem } from '../target-pod/health.ts';
import type { Observed } from './types.ts';

export interface AbortCause {
  readonly reason: string;
  readonly message: string;
}

/** @returns the first cause, in the order of what a user would want to read; undefined: go on. */
export function abortCause(observed: Observed, now: number): AbortCause | undefined {
  return (
    cancelled(observed) ??
    sourceTrouble(observed) ??
    agentTrouble(observed) ??
    podTrouble(observed, now) ??
    deadlineTrouble(observed, now)
  );
}

function cancelled({ request }: Observed): AbortCause | undefined {
  if (request.metadata.deletionTimestamp !== undefined) {
    return { reason: 'Cancelled', message: 'The request was deleted.' };
  }
  if (request.spec.cancel) return { reason: 'Cancelled', message: 'spec.cancel is set.' };
  return undefined;
}

function sourceTrouble({ request, sourcePod }: Observed): AbortCause | undefined {
  const name = request.spec.podName;
  const gone = (how: string): AbortCause => ({
    reason: 'SourceGone',
    message: `The source pod ${name} ${how}.`,
  });
  if (!sourcePod) return gone('was deleted');
  if (sourcePod.metadata.uid !== request.status?.source?.podUID) return gone('was replaced');
  if (sourcePod.metadata.deletionTimestamp !== undefined) return gone('is being deleted');
  if (sourcePod.status.phase === 'Succeeded') return gone('has ended');
  const lost = (how: string): AbortCause => ({
    reason: 'SourceLost',
    message: `The source pod ${name} ${how}: what it had in memory is gone.`,
  });
  if (sourcePod.status.phase === 'Failed') return lost('has failed');
  const { restarts } = request.status.source;
  if (restarts !== undefined && restartsOf(sourcePod) > restarts) return lost('was restarted');
  return undefined;
}

function agentTrouble({ request }: Observed): AbortCause | undefined {
  const { sourceAgent, targetAgent, source, target } = request.status ?? {};
  if (sourceAgent?.state === 'Failed' || sourceAgent?.state === 'Gone') {
    return {
      reason: sourceAgent.reason ?? 'SourceFailed',
      message: sourceAgent.message ?? `The agent of ${source?.nodeName ?? 'the source'} gave up.`,
    };
  }
  if (targetAgent?.state === 'Failed' || targetAgent?.state === 'TornDown') {
    return {
      reason: targetAgent.reason ?? 'TargetFailed',
      message: targetAgent.message ?? `The agent of ${target?.nodeName ?? 'the target'} gave up.`,
    };
  }
  return undefined;
}

function podTrouble({ request, targetPod }: Observed, now: number): AbortCause | undefined {
  const { target } = request.status ?? {};
  const name = target?.podName ?? '';
  if (targetPod && !isTargetOf(targetPod, request)) {
    return { reason: 'TargetRejected', message: `Another pod has the name ${name}.` };
  }
  if (target?.podUID !== undefined && targetPod?.metadata.uid !== target.podUID) {
    return { reason: 'TargetGone', message: `The target pod ${name} was deleted.` };
  }
  return targetPod && targetProblem(targetPod, now).refusal;
}

function deadlineTrouble({ request }: Observed, now: number): AbortCause | undefined {
  const { deadlines, targetAgent, target } = request.status ?? {};
  const { prepareSeconds, blackoutSeconds } = request.spec.timeouts;
  if (deadlines?.blackout !== undefined) {
    if (now <= Date.parse(deadlines.blackout)) return undefined;
    return {
      reason: 'BlackoutDeadlineExceeded',
      message: `The target was not ready to run within ${blackoutSeconds} s (spec.timeouts.blackoutSeconds).`,
    };
  }
  const isPrepared = targetAgent !== undefined && targetAgent.state !== 'Preparing';
  if (isPrepared || deadlines?.prepare === undefined) return undefined;
  if (now <= Date.parse(deadlines.prepare)) return undefined;
  return {
    reason: 'PrepareDeadlineExceeded',
    message: `The target on ${target?.nodeName ?? ''} was not prepared within ${prepareSeconds} s (spec.timeouts.prepareSeconds); see the events of pod ${target?.podName ?? ''}.`,
  };
}

/** @returns when time alone changes the answer, in milliseconds since the epoch. */
export function nextDeadline(
  { targetPod }: Observed,
  deadlines: Deadlines | undefined,
  now: number,
): number {
  const deadline = deadlines?.blackout ?? deadlines?.prepare;
  const recheck = targetPod && targetProblem(targetPod, now).recheckAt;
  return Math.min(
    deadline !== undefined ? Date.parse(deadline) + 1 : Infinity,
    recheck ?? Infinity,
  );
}
