// SPDX-License-Identifier: Apache-2.0
// Decides what a target's agent does next. Pure: decide.test.ts has its table, spec/handover.pml its proof.
import type { Decision, TargetState } from '../../../../crds/src/index.ts';
import type { Plan } from '../../../../kube/src/index.ts';
import { failureFields, type Failure } from '../../support/errors.ts';
import { isRestoring, type Stage } from '../../support/journal/journal.ts';
import { blackoutExceeded, type Limit } from '../step-limits.ts';

export interface TargetObserved {
  decision: Decision['outcome'] | undefined;
  /** The journal's stage of this request. */
  stage: Stage | undefined;
  /** A container waits at the create gate; `retried`: the kubelet has made it again, its first restore has ended. */
  create: 'none' | 'waiting' | 'retried';
  images: 'absent' | 'receiving' | 'complete';
  /** `due`: the source has other addresses than the agent has given to the sandbox of the create that waits. */
  addresses?: 'due' | undefined;
  /** The node has too little memory, or room on its disk, for the pod that waits; nothing of its source may be touched yet. */
  lacking?:
    { readonly podUid: string; readonly reason: string; readonly message: string } | undefined;
  /** The images are a checkpoint that this node stores: they outlive the request. */
  imagesAreCheckpoint: boolean;
  /** Containers that are started and frozen; those that have been thawed since count too. */
  atResumeGate: 'none' | 'some' | 'all';
  /** A container has been frozen: its create returns within moments. */
  passing: boolean;
  failure: Failure | undefined;
  /** The blackout deadline, in milliseconds since the epoch. */
  deadline: number | undefined;
  /** The restore's, once it has begun. */
  limit: Limit | undefined;
  /** Such a pod is committed only once this node knows its peers' retry budget. */
  peersHaveRetryLimit: boolean;
  /** How many milliseconds after the beginning of the source's hold the request must be decided, as the source reports. */
  peerBudgetMs: number | undefined;
  /** The end of that budget by this node's clock. */
  peerLimit: Limit | undefined;
  /** A migration's source has not reported that it is stopped: its device may answer the peers. */
  sourceAnswers: boolean;
  /** The request's summary condition is set: the images are of no more use. */
  finished: boolean;
}

export type TargetEffect =
  | { type: 'PlaceAddresses' }
  | { type: 'StartRestore' }
  | { type: 'RecordPeerDeadline'; budgetMs: number }
  | { type: 'ProposeCommit' }
  | { type: 'ProposeAbort'; reason: string; message: string }
  | { type: 'AnswerPeers' }
  | { type: 'ResumeTarget' }
  | { type: 'ResumeRemaining' }
  | { type: 'TearDownTarget' }
  | { type: 'KeepDiagnostics' }
  | { type: 'RemoveImages' };

export interface TargetStatus {
  state: TargetState;
  reason?: string;
  message?: string;
  refuses?: string;
}

type TargetPlan = Plan<TargetEffect, TargetStatus>;

const removeImages: TargetEffect = { type: 'RemoveImages' };
const startRestore: TargetEffect = { type: 'StartRestore' };
const placeAddresses: TargetEffect = { type: 'PlaceAddresses' };

/** How often the agent looks at a restore that reports nothing. */
const POLL_MS = 500;
/** How soon the agent looks again for memory that was not there. */
const MEMORY_POLL_MS = 2000;
/** The same from the resume gate to the container's start, in case that its report is missed. */
const PASSING_POLL_MS = 200;

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
      return recordingPeerDeadline(observed, undecided(observed, now));
  }
}

/** The retry budget counts from when this node first reads it, so the agent records its end before any other effect. */
function recordingPeerDeadline(
  { peerBudgetMs, peerLimit }: TargetObserved,
  then: TargetPlan,
): TargetPlan {
  if (peerBudgetMs === undefined || peerLimit) return then;
  return {
    ...then,
    effects: [{ type: 'RecordPeerDeadline', budgetMs: peerBudgetMs }, ...then.effects],
  };
}

function committed(observed: TargetObserved): TargetPlan {
  const { stage, atResumeGate, failure, finished } = observed;
  if (stage === 'Running') return plan({ state: 'Running' }, ...(finished ? [removeImages] : []));
  // The agent restarted in the middle. Peers may have heard the pod, so nothing is restored again.
  if (stage === 'Resuming') return plan({ state: 'Running' }, { type: 'ResumeTarget' });
  // A container that the kubelet creates again replaces the one that stands still under its name.
  if (atResumeGate === 'all' && observed.create !== 'retried') {
    return plan({ state: 'Running' }, ...resume(observed));
  }
  // A container was killed before any task ran: the agent restores it again.
  if (isRestoring(observed)) {
    const canStart =
      observed.create !== 'none' && observed.images === 'complete' && !observed.finished;
    const state = canStart || failure ? 'Restoring' : 'AtResumeGate';
    const status: TargetStatus = { state, ...failureFields(failure) };
    if (finished) return lost(observed, status);
    const requeueAfterMs = observed.passing ? PASSING_POLL_MS : POLL_MS;
    return { ...plan(status, ...(canStart ? [startRestore] : [])), requeueAfterMs };
  }
  if (failure) {
    return plan(
      { state: 'Failed', ...failureFields(failure) },
      { type: 'KeepDiagnostics' },
      ...(finished ? [removeImages] : []),
    );
  }
  return { ...plan({ state: 'AtResumeGate' }), requeueAfterMs: POLL_MS };
}

/**
 * The request has ended before every container was back. Those that are restored must not stand still without end for the
 * others. Where nothing has run, the images are the pod's only copy.
 */
function lost({ atResumeGate }: TargetObserved, status: TargetStatus): TargetPlan {
  const keep: TargetEffect = { type: 'KeepDiagnostics' };
  if (atResumeGate !== 'none') return plan(status, { type: 'ResumeRemaining' }, keep);
  const message =
    'No task of the pod has run on this node. Its images stay in /var/lib/sealift/checkpoints, in the directory called ' +
    'like the UID of this request, until the request is deleted.';
  return plan(
    { ...status, message: status.message ? `${status.message} ${message}` : message },
    keep,
  );
}

/** A target that is killed between the two effects is restored again, if its kubelet makes it again. */
function resume({ sourceAnswers }: TargetObserved): TargetEffect[] {
  return [
    ...(sourceAnswers ? [{ type: 'AnswerPeers' } as const] : []),
    { type: 'ResumeTarget' } as const,
  ];
}

function aborted(observed: TargetObserved): TargetPlan {
  const status: TargetStatus = { state: 'TornDown', ...failureFields(observed.failure) };
  const isGateEmpty = observed.create === 'none' && observed.atResumeGate === 'none';
  // Images may still arrive after the tear-down: once complete, they are removed as well.
  const areImagesSettled = observed.images !== 'complete' || observed.imagesAreCheckpoint;
  if (observed.stage === 'TornDown' && isGateEmpty && areImagesSettled) return plan(status);
  return plan(status, { type: 'TearDownTarget' });
}

/** Why an undecided request is aborted, if it is. */
function abortCause(observed: TargetObserved, now: number): Failure | undefined {
  const { failure, deadline, peerLimit, limit } = observed;
  if (failure) return failure;
  if (observed.create === 'retried') {
    return {
      code: 'RestoreFailed',
      message:
        'The restore ended before the decision. See the logs of the agent on the target node, then create a new request.',
    };
  }
  if (deadline !== undefined && now > deadline) {
    return blackoutExceeded;
  }
  if (peerLimit && now > peerLimit.at) return peerLimit;
  const isRestored = !isRestoring(observed) || observed.atResumeGate === 'all';
  return !isRestored && limit && now > limit.at ? limit : undefined;
}

function undecided(observed: TargetObserved, now: number): TargetPlan {
  const cause = abortCause(observed, now);
  if (cause) return abort(cause);
  if (isRestoring(observed)) {
    if (observed.atResumeGate === 'all') return commit(observed);
    if (observed.create === 'none') {
      const requeueAfterMs = observed.passing ? PASSING_POLL_MS : POLL_MS;
      return { ...plan({ state: 'Restoring' }), requeueAfterMs };
    }
  }
  if (observed.create === 'none') return plan({ state: 'Preparing' });
  switch (observed.images) {
    case 'absent':
      if (observed.lacking) return refuse(observed.lacking);
      // Before the source is locked: it waits until both agents report the same.
      return plan({ state: 'AtCreateGate' }, ...(observed.addresses ? [placeAddresses] : []));
    case 'receiving':
      return plan({ state: 'Receiving' });
    case 'complete':
      return { ...plan({ state: 'Restoring' }, startRestore), requeueAfterMs: POLL_MS };
  }
}

function commit({ peersHaveRetryLimit, peerBudgetMs, peerLimit }: TargetObserved): TargetPlan {
  const status: TargetStatus = { state: 'AtResumeGate' };
  const isBudgetKnown = !peersHaveRetryLimit || peerBudgetMs !== undefined || peerLimit;
  return isBudgetKnown
    ? plan(status, { type: 'ProposeCommit' })
    : { ...plan(status), requeueAfterMs: POLL_MS };
}

/** As if it were not prepared: the operator begins no blackout, and tries another node. */
function refuse({ podUid, ...why }: NonNullable<TargetObserved['lacking']>): TargetPlan {
  const status = { state: 'Preparing', ...why } as const;
  return { ...plan({ ...status, refuses: podUid }), requeueAfterMs: MEMORY_POLL_MS };
}

function abort(failure: Failure): TargetPlan {
  return plan(
    { state: 'Failed', ...failureFields(failure) },
    { type: 'ProposeAbort', reason: failure.code, message: failure.message },
  );
}
