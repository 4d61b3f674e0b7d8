// SPDX-License-Identifier: Apache-2.0
// What a source's agent does next. Pure: the table in decide.test.ts is its specification, spec/handover.pml
// its proof. The one rule: what is frozen thaws on a recorded Aborted and on nothing else.
import type { Decision, SourceState, TargetState } from '../../../../crds/src/index.ts';
import type { Plan } from '../../../../kube/src/index.ts';
import type { Stage } from '../../support/journal/journal.ts';
import type { Limit } from '../step-limits.ts';
import type { Failure } from '../../support/errors.ts';

export interface SourceObserved {
  decision: Decision['outcome'] | undefined;
  /** What has been begun here for this request; written before each effect. */
  stage: Stage | undefined;
  targetState: TargetState | undefined;
  /** The target has said that it answers, or how it has ended. */
  targetAnswers: boolean;
  /** Milliseconds since the epoch; the operator sets it once the target is at its create gate. */
  deadline: number | undefined;
  /** Of the step that is under way, or of the peers' patience: whichever ends first. */
  limit: Limit | undefined;
  /** A source that was lost must not start from nothing here: a new pod is, or may yet be, made from a checkpoint. */
  replaced: boolean;
  failure: Failure | undefined;
}

export type SourceEffect =
  | { type: 'InspectPod' }
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

/** In order. A restarted agent begins again with the stage that its journal names: each can be repeated. */
const steps = [
  { stage: 'Locking', effect: { type: 'LockNetwork' } },
  { stage: 'Holding', effect: { type: 'HoldDevice' } },
  { stage: 'Freezing', effect: { type: 'FreezeTasks' } },
  { stage: 'Dumping', effect: { type: 'DumpContainers' } },
  { stage: 'Transferring', effect: { type: 'SendImages' } },
] as const satisfies { stage: Stage; effect: SourceEffect }[];

const letStart: SourceEffect = { type: 'AllowRestart' };
const handOver: SourceEffect = { type: 'AwaitTargetAnswering' };

/** Target states in which its container waits for images. */
const ready: ReadonlySet<TargetState | undefined> = new Set(['AtCreateGate', 'Receiving']);

export function decideSource(observed: SourceObserved, now: number): SourcePlan {
  const { decision, stage, failure } = observed;
  if (decision === 'Committed') return committed(observed);
  if (decision === 'Aborted') {
    if (stage === 'Lost') return lost(observed);
    // A source that never was touched, or that has been let go, is what its failure says.
    const state = failure?.code === 'SourceLost' ? 'Lost' : 'Resumed';
    const status: SourceStatus = { state, ...reason(failure) };
    return stage === undefined || stage === 'Resumed'
      ? plan(status)
      : plan(status, { type: 'ResumeSource' });
  }
  if (failure) {
    return plan(
      { state: 'Failed', ...reason(failure) },
      { type: 'ProposeAbort', reason: failure.code, message: failure.message },
    );
  }
  if (observed.limit && now > observed.limit.at) {
    const { code, message } = observed.limit;
    return plan({ state: 'Transferring' }, { type: 'ProposeAbort', reason: code, message });
  }
  if (observed.deadline !== undefined && now > observed.deadline) {
    const message = 'the pod was not moved in time';
    return plan(
      { state: stage === undefined ? 'Waiting' : 'Transferring' },
      { type: 'ProposeAbort', reason: 'BlackoutDeadlineExceeded', message },
    );
  }
  if (stage === 'Sent') {
    return { ...plan({ state: 'Sent' }), requeueAfterMs: untilDeadline(observed, now) };
  }
  if (stage === undefined) {
    if (observed.deadline === undefined || !ready.has(observed.targetState)) {
      return plan({ state: 'Waiting' }, { type: 'InspectPod' });
    }
    return plan({ state: 'Sent' }, ...steps.map(({ effect }) => effect));
  }
  const from = steps.findIndex((step) => step.stage === stage);
  return plan({ state: 'Sent' }, ...steps.slice(Math.max(from, 0)).map(({ effect }) => effect));
}

/** Peers find somebody at any time: it ends when the target answers. */
function committed({ stage, targetAnswers }: SourceObserved): SourcePlan {
  if (stage === 'Gone') return plan({ state: 'Gone' });
  const waits = stage !== 'Stopping' && !targetAnswers;
  return plan({ state: 'Gone' }, ...(waits ? [handOver] : []), { type: 'StopSource' });
}

const plan = (status: SourceStatus, ...effects: SourceEffect[]): SourcePlan => ({
  status,
  effects,
});

function untilDeadline({ deadline, limit }: SourceObserved, now: number): number | undefined {
  // The peers' patience is counted to the millisecond; the operator keeps the blackout's deadline too.
  const at = Math.min((deadline ?? Infinity) + 100, (limit?.at ?? Infinity) + 1);
  return Number.isFinite(at) ? Math.max(at - now, 0) : undefined;
}

/** Aborted, and there was nothing left to let go on. */
function lost({ failure, replaced }: SourceObserved): SourcePlan {
  return plan({ state: 'Lost', ...reason(failure) }, ...(replaced ? [] : [letStart]));
}

function reason(failure: Failure | undefined): { reason?: string; message?: string } {
  return failure ? { reason: failure.code, message: failure.message } : {};
}
