// SPDX-License-Identifier: Apache-2.0
// What the agent does for a CheckpointRequest. Pure. The pod runs on whatever happens: no decision is needed,
// because no second copy can run.
import type { CheckpointState } from '../../../../crds/src/index.ts';
import type { Plan } from '../../../../kube/src/index.ts';
import type { Stage } from '../../support/journal/journal.ts';
import type { Failure } from '../../support/errors.ts';

export interface CheckpointObserved {
  stage: Stage | undefined;
  /** A run of this process is at work; otherwise an unfinished stage is an earlier agent's. */
  failure: Failure | undefined;
  /** The request is being deleted: the images go first. */
  deleting: boolean;
  /** The request has ended: an agent that was restarted does not begin it anew. */
  finished: boolean;
  /** Milliseconds since the epoch. */
  deadline: number | undefined;
}

export type CheckpointEffect =
  { type: 'TakeCheckpoint' } | { type: 'ResumePod' } | { type: 'RemoveImages' };

export interface CheckpointStatus {
  state: CheckpointState;
  reason?: string;
  message?: string;
}

type CheckpointPlan = Plan<CheckpointEffect, CheckpointStatus>;

export function decideCheckpoint(observed: CheckpointObserved, now: number): CheckpointPlan {
  const { stage, failure } = observed;
  const under = stage !== undefined && stage !== 'Stored' && stage !== 'Resumed';
  if (observed.deleting) {
    const effects: CheckpointEffect[] = under ? [{ type: 'ResumePod' }] : [];
    return { status: { state: 'Removed' }, effects: [...effects, { type: 'RemoveImages' }] };
  }
  if (failure) {
    return {
      status: { state: 'Failed', reason: failure.code, message: failure.message },
      effects: under ? [{ type: 'ResumePod' }] : [],
    };
  }
  if (stage === 'Stored') return { status: { state: 'Stored' }, effects: [] };
  // An agent died in the middle: the pod must go on now, not after another attempt.
  if (under) {
    const message = 'the agent was restarted during the checkpoint; ask again';
    return {
      status: { state: 'Failed', reason: 'AgentRestarted', message },
      effects: [{ type: 'ResumePod' }],
    };
  }
  if (stage === 'Resumed') {
    const message = 'the agent was restarted during the checkpoint; ask again';
    return { status: { state: 'Failed', reason: 'AgentRestarted', message }, effects: [] };
  }
  if (observed.finished) return { status: undefined, effects: [] };
  if (observed.deadline === undefined) return { status: { state: 'Waiting' }, effects: [] };
  if (now > observed.deadline) {
    const message = 'the checkpoint was not begun in time';
    return { status: { state: 'Failed', reason: 'DeadlineExceeded', message }, effects: [] };
  }
  return { status: { state: 'Stored' }, effects: [{ type: 'TakeCheckpoint' }] };
}
