// SPDX-License-Identifier: Apache-2.0
// What a target's agent does next. Pure: the table in decide.test.ts is its specification, spec/handover.pml
// its proof.
import type { Decision, TargetState } from '../../../../crds/src/index.ts';
import type { Plan } from '../../../../kube/src/index.ts';
import type { Failure } from '../../support/errors.ts';
import { isRestoring, type Stage } from '../../support/journal/journal.ts';
import type { Limit } from '../step-limits.ts';

export interface TargetObserved {
  decision: Decision['outcome'] | undefined;
  /** What has been begun here for this request. */
  stage: Stage | undefined;
  /** A container waits at the create gate; `again`: what was answered under its name has failed. */
  create: 'none' | 'waiting' | 'again';
  images: 'absent' | 'receiving' | 'whole';
  /** The images are kept here by a CheckpointRequest. */
  kept: boolean;
  /** Containers of which CRIU waits at the resume gate; `all`: or has let go, where the gates are being opened. */
  atResumeGate: 'none' | 'some' | 'all';
  failure: Failure | undefined;
  /** Containers whose tasks CRIU has let go of. */
  detached: 'none' | 'some' | 'all';
  /** A container of which CRIU has ended is not restored any more: its kubelet does not start it again. */
  unrestorable: boolean;
  /** Milliseconds since the epoch; until then the pod must have been moved. */
  deadline: number | undefined;
  /** Of the restore, once it was begun. */
  limit: Limit | undefined;
  /** Whether the pod's peers give up: then nothing is committed before this node knows how long they wait. */
  peersHaveRetryLimit: boolean;
  /** How long after the beginning of the source's hold it has to be decided, as the source has told. */
  peerBudgetMs: number | undefined;
  /** Until when, by this node's clock. */
  peerLimit: Limit | undefined;
  /** A migration's source has not said that it is silent: it may answer the peers. */
  sourceAnswers: boolean;
  /** The request's summary condition is set: nobody needs the images any more. */
  finished: boolean;
}

export type TargetEffect =
  | { type: 'StartRestore' }
  | { type: 'RecordPeerDeadline'; budgetMs: number }
  | { type: 'ProposeCommit' }
  | { type: 'ProposeAbort'; reason: string; message: string }
  | { type: 'AnswerPeers' }
  | { type: 'OpenResumeGates' }
  | { type: 'RetryRestore' }
  | { type: 'OpenRemainingGates' }
  | { type: 'ResumeTarget' }
  | { type: 'TearDownTarget' }
  | { type: 'KeepDiagnostics' }
  | { type: 'RemoveImages' };

export interface TargetStatus {
  state: TargetState;
  reason?: string;
  message?: string;
}

type TargetPlan = Plan<TargetEffect, TargetStatus>;

const clean: TargetEffect = { type: 'RemoveImages' };
const restore: TargetEffect = { type: 'StartRestore' };

/** How often a restore without a sign of life is looked at. */
const WATCH_MS = 500;

const plan = (status: TargetStatus, ...effects: TargetEffect[]): TargetPlan => ({
  status,
  effects,
});

export function decideTarget(observed: TargetObserved, now: number): TargetPlan {
  switch (observed.decision) {
    case 'Committed':
      return committed(observed);
    case 'Aborted':
      return aborted(observed);
    case undefined:
      return withPeers(observed, undecided(observed, now));
  }
}

/** The peers' patience is counted from when this node first hears of it; before anything else, and written down. */
function withPeers({ peerBudgetMs, peerLimit }: TargetObserved, then: TargetPlan): TargetPlan {
  if (peerBudgetMs === undefined || peerLimit) return then;
  return {
    ...then,
    effects: [{ type: 'RecordPeerDeadline', budgetMs: peerBudgetMs }, ...then.effects],
  };
}

function committed(observed: TargetObserved): TargetPlan {
  if (observed.stage === 'Running') {
    return plan({ state: 'Running' }, ...(observed.finished ? [clean] : []));
  }
  // A container that is created anew, or once more, takes the place of the one that waits under its name.
  const isReplaced = observed.create === 'again' && observed.stage !== 'Resuming';
  if (observed.atResumeGate === 'all' && !isReplaced) {
    return plan({ state: 'Running' }, ...opening(observed));
  }
  // The agent was restarted after it had opened the gate, before it could write that down.
  if (observed.stage === 'Resuming' && observed.detached === 'all') {
    return plan({ state: 'Running' }, { type: 'ResumeTarget' });
  }
  // CRIU ended after it was answered and before it let go: locked and held as all of it still is, none of it was heard.
  if (isTakenBack(observed)) return plan({ state: 'AtResumeGate' }, { type: 'RetryRestore' });
  // It ended, or its kubelet gave it up, before it ran: nothing has happened since, so restore it once more.
  if (isRestoring(observed)) {
    const again = observed.create !== 'none' && observed.images === 'whole' && !observed.finished;
    const state = again || observed.failure ? 'Restoring' : 'AtResumeGate';
    const status: TargetStatus = { state, ...reason(observed.failure) };
    if (observed.finished) return plan(status, ...rest(observed), clean);
    return { ...plan(status, ...(again ? [restore] : [])), requeueAfterMs: WATCH_MS };
  }
  // It may have run, or nobody knows: nothing but a report is left to do.
  if (observed.failure) {
    const status: TargetStatus = { state: 'Failed', ...reason(observed.failure) };
    // Containers that could go on must not wait for ever for one that cannot.
    const areWaiting = observed.stage === 'Resuming' && observed.atResumeGate !== 'none';
    const others: TargetEffect[] = areWaiting ? [{ type: 'OpenResumeGates' }] : [];
    return plan(
      status,
      { type: 'KeepDiagnostics' },
      ...others,
      ...(observed.finished ? [clean] : []),
    );
  }
  return { ...plan({ state: 'AtResumeGate' }), requeueAfterMs: WATCH_MS };
}

function isTakenBack(observed: TargetObserved): boolean {
  const { stage, detached, create, failure, unrestorable, finished } = observed;
  const hasEnded = failure !== undefined || create === 'again';
  return stage === 'Resuming' && detached !== 'all' && hasEnded && !unrestorable && !finished;
}

/** Containers that could go on must not wait for ever for one that has not come back. */
function rest({ detached, atResumeGate }: TargetObserved): TargetEffect[] {
  return detached === 'none' && atResumeGate === 'none' ? [] : [{ type: 'OpenRemainingGates' }];
}

/** What is killed between the two is restored once more: nothing has run before Open. */
function opening({ sourceAnswers, stage }: TargetObserved): TargetEffect[] {
  const open: TargetEffect = { type: 'OpenResumeGates' };
  return sourceAnswers && stage !== 'Resuming' ? [{ type: 'AnswerPeers' }, open] : [open];
}

function aborted(observed: TargetObserved): TargetPlan {
  const status: TargetStatus = { state: 'TornDown', ...reason(observed.failure) };
  // Images may arrive late.
  const tidy = observed.images === 'absent' || observed.kept;
  const nobody = observed.create === 'none' && observed.atResumeGate === 'none';
  if (observed.stage === 'TornDown' && nobody && (tidy || observed.images === 'receiving')) {
    return plan(status);
  }
  return plan(status, { type: 'TearDownTarget' });
}

/** Why the target is given up before anything is decided. */
function giveUp(observed: TargetObserved, now: number): Failure | undefined {
  const { failure, deadline, peerLimit, limit } = observed;
  if (failure) return failure;
  if (observed.create === 'again') {
    return {
      code: 'RestoreFailed',
      message: 'the restore ended before it was decided',
    };
  }
  if (deadline !== undefined && now > deadline) {
    return { code: 'BlackoutDeadlineExceeded', message: 'the pod was not moved in time' };
  }
  if (peerLimit && now > peerLimit.at) return peerLimit;
  const restored = !isRestoring(observed) || observed.atResumeGate === 'all';
  return !restored && limit && now > limit.at ? limit : undefined;
}

function undecided(observed: TargetObserved, now: number): TargetPlan {
  const cause = giveUp(observed, now);
  if (cause) return abort(cause);
  const restoring = isRestoring(observed);
  if (restoring && observed.atResumeGate === 'all') {
    const { peersHaveRetryLimit, peerBudgetMs, peerLimit } = observed;
    const knows = !peersHaveRetryLimit || peerBudgetMs !== undefined || peerLimit;
    const gate: TargetStatus = { state: 'AtResumeGate' };
    return knows
      ? plan(gate, { type: 'ProposeCommit' })
      : { ...plan(gate), requeueAfterMs: WATCH_MS };
  }
  if (restoring && observed.create === 'none') {
    return { ...plan({ state: 'Restoring' }), requeueAfterMs: WATCH_MS };
  }
  if (observed.create === 'none') return plan({ state: 'Preparing' });
  switch (observed.images) {
    case 'absent':
      return plan({ state: 'AtCreateGate' });
    case 'receiving':
      return plan({ state: 'Receiving' });
    case 'whole':
      return { ...plan({ state: 'Restoring' }, restore), requeueAfterMs: WATCH_MS };
  }
}

function abort(failure: Failure): TargetPlan {
  return plan(
    { state: 'Failed', ...reason(failure) },
    { type: 'ProposeAbort', reason: failure.code, message: failure.message },
  );
}

function reason(failure: Failure | undefined): { reason?: string; message?: string } {
  return failure ? { reason: failure.code, message: failure.message } : {};
}
