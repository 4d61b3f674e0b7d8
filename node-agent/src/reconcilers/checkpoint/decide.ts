// SPDX-License-Identifier: Apache-2.0
// Decides what the agent does next for a CheckpointRequest. Pure. The pod resumes whatever happens. It needs no decision,
// because no second copy of it can run.
import type { CheckpointState } from '../../../../crds/src/index.ts';
import type { Plan } from '../../../../kube/src/index.ts';
import type { Stage } from '../../support/journal/journal.ts';
import { failureFields, type Failure } from '../../support/errors.ts';

export interface CheckpointObserved {
  stage: Stage | undefined;
  /** A failure of this request. An unfinished stage without one is that of an agent that has ended. */
  failure: Failure | undefined;
  /** The request is being deleted. The agent removes the images first. */
  deleting: boolean;
  /** The request has finished: a restarted agent does not begin it again. */
  finished: boolean;
  /** When the checkpoint must have begun, in milliseconds since the epoch. The operator sets it. */
  deadline: number | undefined;
  /** Before the checkpoint: why images can't be encrypted. After it: why those that are stored can't be read. */
  keyProblem: Failure | undefined;
}

export type CheckpointEffect =
  { type: 'TakeCheckpoint' } | { type: 'ResumePod' } | { type: 'RemoveImages' };

export interface CheckpointStatus {
  state: CheckpointState;
  reason?: string;
  message?: string;
}

/** How often the agent looks whether there is a key, and whether there still is that of stored images. */
const KEY_LOOK_MS = 2_000;
const STORED_LOOK_MS = 300_000;

type CheckpointPlan = Plan<CheckpointEffect, CheckpointStatus>;

const agentRestarted: Failure = {
  code: 'AgentRestarted',
  message: 'The agent restarted during the checkpoint. Create a new CheckpointRequest.',
};
const deadlineExceeded: Failure = {
  code: 'DeadlineExceeded',
  message: 'The checkpoint did not begin in time. Create a new CheckpointRequest.',
};

const failed = (failure: Failure, ...effects: CheckpointEffect[]): CheckpointPlan => ({
  status: { state: 'Failed', ...failureFields(failure) },
  effects,
});

export function decideCheckpoint(observed: CheckpointObserved, now: number): CheckpointPlan {
  const { stage, failure, keyProblem } = observed;
  const isUnfinished = stage !== undefined && stage !== 'Stored' && stage !== 'Resumed';
  const resume: CheckpointEffect[] = isUnfinished ? [{ type: 'ResumePod' }] : [];
  if (observed.deleting) {
    return { status: { state: 'Removed' }, effects: [...resume, { type: 'RemoveImages' }] };
  }
  if (failure) return failed(failure, ...resume);
  if (stage === 'Stored') {
    const status: CheckpointStatus = { state: 'Stored', ...failureFields(keyProblem) };
    return { status, effects: [], requeueAfterMs: STORED_LOOK_MS };
  }
  // An agent ended during the checkpoint: the pod resumes now, without another attempt.
  if (stage !== undefined) return failed(agentRestarted, ...resume);
  if (observed.finished) return { status: undefined, effects: [] };
  if (observed.deadline === undefined) return { status: { state: 'Waiting' }, effects: [] };
  if (now > observed.deadline) return failed(keyProblem ?? deadlineExceeded);
  // The kubelet may not have brought the key to the node yet. The pod is not touched before.
  if (keyProblem) {
    const status: CheckpointStatus = { state: 'Waiting', ...failureFields(keyProblem) };
    return { status, effects: [], requeueAfterMs: KEY_LOOK_MS };
  }
  return { status: { state: 'Stored' }, effects: [{ type: 'TakeCheckpoint' }] };
}
