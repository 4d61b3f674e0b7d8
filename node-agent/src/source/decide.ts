// SPDX-License-Identifier: Apache-2.0
// What a source's agent does next. Pure: the table in decide.test.ts is its specification, spec/handover.pml
// its proof. The one rule: what is frozen thaws on a recorded Aborted and on nothing else.
import type { Decision, SourceState, TargetState } from '../../../crds/src/index.ts';
import type { Plan } from '../../../kube/src/index.ts';
import type { Stage } from '../journal/journal.ts';
import type { Failure } from '../target/decide.ts';

export interface SourceObserved {
  decision: Decision['outcome'] | undefined;
  /** What has been begun here for this request; written before each effect. */
  stage: Stage | undefined;
  targetState: TargetState | undefined;
  /** Milliseconds since the epoch; the operator sets it once the target is at its create gate. */
  deadline: number | undefined;
  failure: Failure | undefined;
}

export type SourceEffect =
  | { type: 'Inspect' }
  | { type: 'Lock' }
  | { type: 'Hold' }
  | { type: 'Freeze' }
  | { type: 'Dump' }
  | { type: 'Transfer' }
  | { type: 'Abort'; reason: string; message: string }
  | { type: 'Release' }
  | { type: 'End' };

export interface SourceStatus {
  state: SourceState;
  reason?: string;
  message?: string;
}

type SourcePlan = Plan<SourceEffect, SourceStatus>;

/** In order. A restarted agent begins again with the stage that its journal names: each can be repeated. */
const steps = [
  { stage: 'locking', effect: { type: 'Lock' } },
  { stage: 'holding', effect: { type: 'Hold' } },
  { stage: 'freezing', effect: { type: 'Freeze' } },
  { stage: 'dumping', effect: { type: 'Dump' } },
  { stage: 'transferring', effect: { type: 'Transfer' } },
] as const satisfies { stage: Stage; effect: SourceEffect }[];

/** Target states in which its container waits for images. */
const ready: ReadonlySet<TargetState | undefined> = new Set(['AtCreateGate', 'Receiving']);

export function decideSource(observed: SourceObserved, now: number): SourcePlan {
  const { decision, stage, failure } = observed;
  if (decision === 'Committed') {
    return stage === 'gone' ? plan({ state: 'Gone' }) : plan({ state: 'Gone' }, { type: 'End' });
  }
  if (decision === 'Aborted') {
    const status: SourceStatus = { state: 'Resumed', ...reason(failure) };
    return stage === undefined || stage === 'resumed'
      ? plan(status)
      : plan(status, { type: 'Release' });
  }
  if (failure) {
    return plan(
      { state: 'Failed', ...reason(failure) },
      { type: 'Abort', reason: failure.code, message: failure.message },
    );
  }
  if (observed.deadline !== undefined && now > observed.deadline) {
    const message = 'the pod was not moved in time';
    return plan(
      { state: stage === undefined ? 'Waiting' : 'Transferring' },
      { type: 'Abort', reason: 'BlackoutDeadlineExceeded', message },
    );
  }
  if (stage === 'sent') {
    return { ...plan({ state: 'Sent' }), requeueAfterMs: untilDeadline(observed, now) };
  }
  if (stage === undefined) {
    if (observed.deadline === undefined || !ready.has(observed.targetState)) {
      return plan({ state: 'Waiting' }, { type: 'Inspect' });
    }
    return plan({ state: 'Sent' }, ...steps.map(({ effect }) => effect));
  }
  const from = steps.findIndex((step) => step.stage === stage);
  return plan({ state: 'Sent' }, ...steps.slice(Math.max(from, 0)).map(({ effect }) => effect));
}

const plan = (status: SourceStatus, ...effects: SourceEffect[]): SourcePlan => ({
  status,
  effects,
});

function untilDeadline(observed: SourceObserved, now: number): number | undefined {
  return observed.deadline === undefined ? undefined : Math.max(observed.deadline - now, 0) + 100;
}

function reason(failure: Failure | undefined): { reason?: string; message?: string } {
  return failure ? { reason: failure.code, message: failure.message } : {};
}
