// SPDX-License-Identifier: Apache-2.0
// Decides what a source's agent does next. Pure: decide.test.ts has its table, spec/handover.pml its proof. The one rule:
// frozen tasks thaw on a recorded Aborted and on nothing else.
import type { Decision, SourceState, TargetState } from '../../../../crds/src/index.ts';
import type { Plan } from '../../../../kube/src/index.ts';
import type { Stage } from '../../support/journal/journal.ts';
import { blackoutExceeded, type Limit } from '../step-limits.ts';
import { failureFields, type Failure } from '../../support/errors.ts';

export interface SourceObserved {
  /** The request only asks whether the pod can be moved: absent for a move; whether the agent has looked. */
  dryRun?: 'open' | 'inspected' | undefined;
  decision: Decision['outcome'] | undefined;
  /** The journal's stage of this request, which the agent writes before each effect. */
  stage: Stage | undefined;
  targetState: TargetState | undefined;
  /** `due`: the target has not been given the source's addresses yet, and its agent does so. */
  addresses?: 'due' | undefined;
  /** `due`: the status does not say yet how many TCP connections the move ends. */
  connections?: 'due' | undefined;
  /** The target has reported that it answers the peers, or how it has ended. */
  targetAnswers: boolean;
  /** The blackout deadline in milliseconds since the epoch. The operator sets it once the target is at its create gate. */
  deadline: number | undefined;
  /** The limit of the current step or the peers' retry budget, whichever ends first. */
  limit: Limit | undefined;
  /** A new pod is, or may yet be, restored from a checkpoint, so a lost source must not restart here. */
  isReplaced: boolean;
  failure: Failure | undefined;
}

export type SourceEffect =
  | { type: 'InspectPod' }
  | { type: 'ListFindings' }
  | { type: 'LockNetwork' }
  | { type: 'HoldDevice' }
  | { type: 'FreezeTasks' }
  | { type: 'DumpContainers' }
  | { type: 'SendImages' }
  | { type: 'ProposeAbort'; reason: string; message: string }
  | { type: 'ResumeSource' }
  | { type: 'AllowRestart' }
  | { type: 'AwaitTargetAnswering' }
  | { type: 'StopSource' };

export interface SourceStatus {
  state: SourceState;
  reason?: string;
  message?: string;
}

type SourcePlan = Plan<SourceEffect, SourceStatus>;

/** In order. A restarted agent repeats the step of its journal's stage and continues from there. */
const steps = [
  { stage: 'Locking', effect: { type: 'LockNetwork' } },
  { stage: 'Holding', effect: { type: 'HoldDevice' } },
  { stage: 'Freezing', effect: { type: 'FreezeTasks' } },
  { stage: 'Dumping', effect: { type: 'DumpContainers' } },
  { stage: 'Transferring', effect: { type: 'SendImages' } },
] as const satisfies { stage: Stage; effect: SourceEffect }[];

const allowRestart: SourceEffect = { type: 'AllowRestart' };
const awaitTargetAnswering: SourceEffect = { type: 'AwaitTargetAnswering' };

/** How often the agent looks at addresses that the target has not. */
const ADDRESS_POLL_MS = 1000;

/** States of a target whose container waits for images. */
const awaitingImages: ReadonlySet<TargetState | undefined> = new Set(['AtCreateGate', 'Receiving']);

export function decideSource(observed: SourceObserved, now: number): SourcePlan {
  const { decision, stage, failure } = observed;
  if (observed.dryRun) {
    // Before everything else: whatever a status says, a dry run has no step that touches the pod.
    return plan(
      { state: 'Inspected' },
      ...(observed.dryRun === 'open' ? [{ type: 'ListFindings' } as const] : []),
    );
  }
  if (decision === 'Committed') return committed(observed);
  if (decision === 'Aborted') {
    if (stage === 'Lost') return lost(observed);
    // A source that the agent never locked, or has resumed, reports what its failure says.
    const state = failure?.code === 'SourceLost' ? 'Lost' : 'Resumed';
    const status: SourceStatus = { state, ...failureFields(failure) };
    return stage === undefined || stage === 'Resumed'
      ? plan(status)
      : plan(status, { type: 'ResumeSource' });
  }
  if (failure) {
    return plan(
      { state: 'Failed', ...failureFields(failure) },
      { type: 'ProposeAbort', reason: failure.code, message: failure.message },
    );
  }
  if (observed.limit && now > observed.limit.at) {
    const { code, message } = observed.limit;
    return plan({ state: 'Transferring' }, { type: 'ProposeAbort', reason: code, message });
  }
  if (observed.deadline !== undefined && now > observed.deadline) {
    const { code, message } = blackoutExceeded;
    return plan(
      { state: stage === undefined ? 'Waiting' : 'Transferring' },
      { type: 'ProposeAbort', reason: code, message },
    );
  }
  if (stage === 'Sent') {
    return { ...plan({ state: 'Sent' }), requeueAfterMs: untilDeadline(observed, now) };
  }
  if (stage === undefined) return notBegun(observed);
  const from = steps.findIndex((step) => step.stage === stage);
  return plan({ state: 'Sent' }, ...steps.slice(Math.max(from, 0)).map(({ effect }) => effect));
}

/** Nothing of the pod has been touched. */
function notBegun({ deadline, targetState, addresses, connections }: SourceObserved): SourcePlan {
  const isKnown = addresses === undefined && connections === undefined;
  const isReady = awaitingImages.has(targetState) && isKnown;
  if (deadline !== undefined && isReady) {
    return plan({ state: 'Sent' }, ...steps.map(({ effect }) => effect));
  }
  const waiting = plan({ state: 'Waiting' }, { type: 'InspectPod' });
  // Addresses may be again as they were reported, and then no event tells.
  const isLate = deadline !== undefined && addresses !== undefined;
  return isLate ? { ...waiting, requeueAfterMs: ADDRESS_POLL_MS } : waiting;
}

/** The source stops once the target answers, so that the peers always get an answer. */
function committed({ stage, targetAnswers }: SourceObserved): SourcePlan {
  if (stage === 'Gone') return plan({ state: 'Gone' });
  const mustWait = stage !== 'Stopping' && !targetAnswers;
  const wait = mustWait ? [awaitTargetAnswering] : [];
  return plan({ state: 'Gone' }, ...wait, { type: 'StopSource' });
}

const plan = (status: SourceStatus, ...effects: SourceEffect[]): SourcePlan => ({
  status,
  effects,
});

function untilDeadline({ deadline, limit }: SourceObserved, now: number): number | undefined {
  // The retry budget ends to the millisecond. The operator watches the blackout deadline too, so that one has some slack.
  const at = Math.min((deadline ?? Infinity) + 100, (limit?.at ?? Infinity) + 1);
  return Number.isFinite(at) ? Math.max(at - now, 0) : undefined;
}

/** Aborted, and the pod is lost. */
function lost({ failure, isReplaced }: SourceObserved): SourcePlan {
  return plan({ state: 'Lost', ...failureFields(failure) }, ...(isReplaced ? [] : [allowRestart]));
}
