// SPDX-License-Identifier: Apache-2.0
// What to do next about a MigrationRequest. Pure: the same observation gives the same plan.
import {
  applied,
  completionGraceMs,
  isFinished,
  type Decision,
  type MigrationPhase,
  type MigrationRequest,
  type SecondMove,
  type SourceAgent,
  type SourceState,
  type TargetPlacement,
} from '../../../crds/src/index.ts';
import {
  holdsMs,
  isFarBehind,
  queueCause,
  queueMessage,
  queuePollMs,
  toOf,
  type Move,
} from '../moves/limits.ts';
import {
  abortConfirmationMs,
  confirmationDeadline,
  isPrepared,
  pollMs,
  prepareDeadline,
  startBlackout,
  untilNextDeadline,
} from '../requests/deadlines.ts';
import type { Nodes } from '../nodes/node-choice.ts';
import { tryAnotherNode, type Choose } from '../requests/another-node.ts';
import { HandoverDraft } from '../requests/handover-draft.ts';
import {
  isTargetMissing,
  keptMessage,
  ownTarget,
  planAbort,
  planCommitted,
  planFinalizer,
  planTargetDeletion,
  planRemaining,
  showAbort,
  nodesOf,
  placeText,
  recordTarget,
  showTarget,
  showTargetState,
} from '../requests/handover.ts';
import { failureHints, sentences } from '../requests/message.ts';
import { makeReport } from '../requests/report.ts';
import { pick } from '../requests/status-draft.ts';
import { abortCause, endedCause, isCompleted } from './abort-cause.ts';
import {
  afterCommit,
  afterReturn,
  awaitsLateEnd,
  beforeHold,
  controllerState,
  giveBack,
  oldPod,
  unclaimedMessage,
} from './controller-steps.ts';
import { decideDryRun } from './dry-run.ts';
import { isLandingMove, placeOf } from './landing.ts';
import { afterFirstMove, awaitsName, nameMessage } from './name-steps.ts';
import { isSourceLost, mayComplete, planRecovery, sourceLossGraceMs } from './recovery.ts';
import { asksForMemory, reserveMemory } from './target-memory.ts';
import {
  ownedStatus,
  type Effect,
  type MigrationDraft,
  type MigrationPlan,
  type Observed,
  type OwnStatus,
} from './types.ts';
import { addressesOn, chooseAnother, validate } from './validate.ts';

/** How soon a name is tried again. */
const nameTrialMs = 1000;

export function decideMigration(observed: Observed, now: number): MigrationPlan {
  const { request } = observed;
  if (request.spec.dryRun) return decideDryRun(observed, now);
  if (isFinished(request)) return afterFinish(observed, now);
  const draft: MigrationDraft = new HandoverDraft(request, ownedStatus, now);
  const unprotected = planFinalizer(observed, draft);
  if (unprotected) return unprotected;
  const { decision, source } = request.status ?? {};
  if (decision?.outcome === 'Committed') return committed(observed, draft, decision);
  if (decision) return aborted(observed, draft, decision);
  return source ? undecided(observed, draft) : accept(observed, draft);
}

function accept(observed: Observed, draft: MigrationDraft): MigrationPlan {
  const { request } = observed;
  const { now, progress } = draft;
  if (request.metadata.deletionTimestamp !== undefined || request.spec.cancel) {
    draft.status.queue = undefined;
    return draft.finish(
      false,
      'Cancelled',
      'The request was cancelled before the operator created anything.',
    );
  }
  const policy = observed.policy && applied(observed.policy);
  draft.status.policy = policy;
  const result = validate(observed);
  if ('reason' in result) {
    draft.status.queue = undefined;
    return draft.refuse(result);
  }
  const { source, target, peers } = result;
  const wait = queueUp(observed, draft, {
    from: source.nodeName,
    ...toOf({ target }),
    policy,
  });
  if (wait) return wait;
  const ips = target.podIPs?.map(({ ip }) => ip).join(' and ');
  const keeping = ips === undefined ? '' : `, and keeps its address ${ips}`;
  progress.accepted(
    `The pod is to move from node ${source.nodeName} to ${placeText(target)}${keeping}.`,
  );
  const timed = { ...request, status: { ...request.status, policy } };
  const deadlines = { prepare: prepareDeadline(timed, now) };
  draft.status = { ...draft.status, queue: undefined, source, target, peers, deadlines };
  const waits = asksForMemory(observed, target);
  return draft.plan('Preparing', waits ? [] : [createTarget(target)], waits ? 0 : pollMs);
}

/** A request that is valid and has to wait for its turn. @returns undefined: it may start */
function queueUp(
  { request, moves, firstMove, sourcePod }: Observed,
  draft: MigrationDraft,
  move: Move,
): MigrationPlan | undefined {
  const waitsFor = queueCause(move, moves);
  // A landing pod has its turn already, and is to be one for a short time.
  const isUnderWay = placeOf(request, firstMove, sourcePod) !== undefined;
  if (!waitsFor || isUnderWay) return undefined;
  const { position, priority = 0 } = moves;
  const wanted = { from: move.from, to: request.spec.targetNodeName, policy: move.policy };
  const message = queueMessage(waitsFor, wanted, moves);
  draft.progress.waiting('Validated', 'Queued', message);
  draft.progress.waiting('Succeeded', 'Queued', message);
  draft.status.queue = { position, waitsFor, sourceNodeName: move.from, priority };
  const pollMs = queuePollMs(position, moves.limits);
  // Of one that is far behind nobody asks so soon whether the others need their places.
  if (waitsFor !== 'TargetNode' || isFarBehind(moves)) return draft.plan('Pending', [], pollMs);
  const heldMs = Math.max(1000, holdsMs - (moves.stalledMs ?? 0));
  const isOver = (moves.stalledMs ?? 0) >= holdsMs;
  return draft.plan('Pending', [], isOver ? pollMs : Math.min(pollMs, heldMs));
}

const createTarget = ({ podName = '', podIPs, ...target }: TargetPlacement): Effect => ({
  ...{ type: 'CreateTarget', nodeNames: nodesOf(target), podName },
  ...(podIPs && { addresses: podIPs.map(({ ip }) => ip) }),
});

/** Accepted and not decided. */
function undecided(observed: Observed, draft: MigrationDraft): MigrationPlan {
  const { request } = observed;
  const { now } = draft;
  const { target } = request.status ?? {};
  showAgents(observed, draft);
  showTarget(observed, draft);
  const cause = abortCause(observed, now);
  const choose: Choose = (without, isWaiting) => chooseAnother(observed, without, isWaiting);
  const placed = (nodes: Nodes): Pick<TargetPlacement, 'podIPs'> => addressesOn(observed, nodes);
  const next = tryAnotherNode(observed, draft, cause, choose, placed);
  if (next && 'effects' in next) return next;
  const room = next ?? reserveMemory(observed, draft);
  if (room && 'effects' in room) return room;
  if (room) return planAbort(draft, room, 'RollingBack');
  const joining = beforeHold(observed);
  if (joining.length > 0) return draft.plan('Preparing', joining, 0);
  if (
    isPrepared(request) &&
    draft.status.deadlines?.blackout === undefined &&
    awaitsName(observed)
  ) {
    draft.progress.waiting('Succeeded', 'NameNotReserved', nameMessage(observed));
    return draft.plan('Preparing', [], nameTrialMs);
  }
  startBlackout(draft.status, request, now);
  const effects = target && isTargetMissing(observed) ? [createTarget(target)] : [];
  const waitMs = untilNextDeadline(observed, draft.status.deadlines, now);
  return draft.plan(phaseOf(request), effects, waitMs);
}

function phaseOf({ status }: MigrationRequest): MigrationPhase {
  switch (status?.targetAgent?.state) {
    case 'Restoring':
    case 'AtResumeGate':
    case 'Answering':
      return 'Restoring';
    default:
  }
  switch (status?.sourceAgent?.state) {
    case 'Holding':
    case 'Dumping':
      return 'Holding';
    case 'Transferring':
    case 'Sent':
      return 'Transferring';
    default:
      return 'Preparing';
  }
}

/** States of a source whose images are complete. */
const sent: readonly SourceState[] = ['Sent', 'Gone'];
/** States of a source that is frozen, or was stopped. */
const quiesced: readonly SourceState[] = ['Dumping', 'Transferring', ...sent];

/** Conditions that follow from what the agents report. */
function showAgents(observed: Observed, draft: MigrationDraft): void {
  showTargetState(observed, draft);
  const state = observed.request.status?.sourceAgent?.state;
  if (state === undefined) return;
  const { progress } = draft;
  if (quiesced.includes(state))
    progress.reached(
      'Quiesced',
      'Held',
      'The source pod is locked, its RDMA device is held and its tasks are frozen.',
    );
  if (sent.includes(state))
    progress.reached('Checkpointed', 'ImagesWritten', 'The images of the source pod are complete.');
}

function committed(observed: Observed, draft: MigrationDraft, decision: Decision): MigrationPlan {
  const { target } = observed.request.status ?? {};
  showAgents(observed, draft);
  if (controllerState(observed) === 'orphaning') recordLeftBehind(draft);
  const runs = `Pod ${target?.podName ?? ''} runs on ${target?.nodeName ?? ''}.`;
  const message = sentences([runs, keptMessage(oldPod(observed)), unclaimedMessage(observed)]);
  return planCommitted(observed, draft, decision, {
    success: { reason: 'Moved', message },
    work: (situation) => {
      if (!isLandingMove(observed.request)) {
        const { isLeftBehind = false, ...work } = afterCommit(observed, situation);
        if (isLeftBehind) recordLeftBehind(draft);
        return work;
      }
      const { secondMove, ...work } = afterFirstMove(observed, situation.isTargetLost, draft.now);
      if (secondMove) recordSecondMove(draft, secondMove);
      return work;
    },
  });
}

function recordSecondMove({ status, progress }: MigrationDraft, secondMove: SecondMove): void {
  status.secondMove = secondMove;
  const { requestName } = secondMove;
  progress.waiting('Succeeded', 'Committed', `MigrationRequest ${requestName} moves the pod on.`);
}

function recordLeftBehind({ status }: MigrationDraft): void {
  const { source } = status;
  if (!source?.controller) return;
  status.source = { ...source, controller: { ...source.controller, leftBehind: true } };
}

/** Whether the agent has begun to lock the pod. One that it refuses before that has run all the time. */
const wasTouched = ({ steps }: SourceAgent): boolean => (steps ?? []).length > 0;

/** States of a source that may still be held, frozen or locked. */
const heldStates: readonly (string | undefined)[] = ['Holding', 'Dumping', 'Transferring', 'Sent'];

function aborted(observed: Observed, draft: MigrationDraft, decision: Decision): MigrationPlan {
  const { request } = observed;
  const { now, progress } = draft;
  const { source, sourceAgent, targetAgent } = request.status ?? {};
  const cause = endedCause(observed, decision);
  showAgents(observed, draft);
  recordTarget(observed, draft);
  showAbort(draft, cause);
  if (sourceAgent?.state === 'Resumed' && wasTouched(sourceAgent) && !isCompleted(observed)) {
    progress.set('Quiesced', 'False', 'Resumed', 'The source runs again.');
  }
  const deadline = confirmationDeadline(draft.status, now + abortConfirmationMs);
  const returning = giveBack(observed);
  if (returning.length > 0) return draft.plan('RollingBack', returning, 0);
  const deletion = planTargetDeletion(observed, draft, 'RollingBack');
  if (deletion) return deletion;
  const isHeld = heldStates.includes(sourceAgent?.state);
  const graceMs = request.spec.onSourceLoss === 'Fail' ? 0 : sourceLossGraceMs;
  const waitMs = deadline + graceMs - now + 1;
  if (isHeld && waitMs > 0) return draft.plan('RollingBack', [], Math.min(pollMs, waitMs));
  if (isSourceLost(observed, decision)) {
    const completionMs = deadline - abortConfirmationMs + completionGraceMs - now + 1;
    if (mayComplete(observed) && completionMs > 0) {
      return draft.plan('RollingBack', [], completionMs);
    }
    return recover(observed, draft, decision, waitMs);
  }
  const unconfirmed = isHeld
    ? `Node ${source?.nodeName ?? ''} has not confirmed that the source runs again. Look at the node and its Sealift agent.`
    : undefined;
  const kept = keptMessage(ownTarget(observed));
  const hints = failureHints(cause, [sourceAgent, targetAgent]);
  const message = sentences([cause.message, hints, unconfirmed, kept]);
  const plan = draft.finish(false, cause.reason, message);
  return awaitsLateEnd(request) ? { ...plan, effects: [], requeueAfterMs: 0 } : plan;
}

/** Aborted, the target gone, and the source is lost. */
function recover(
  observed: Observed,
  draft: MigrationDraft,
  decision: Decision,
  waitMs: number,
): MigrationPlan {
  const { sourceAgent, targetAgent } = observed.request.status ?? {};
  const { recovery, effects, outcome } = planRecovery(observed, waitMs <= 0);
  draft.status.recovery = recovery;
  const report = sourceAgent?.state === 'Lost' ? sourceAgent.message : undefined;
  const loss = `The source is lost: ${report ?? decision.message}`;
  if (outcome === undefined) {
    draft.progress.waiting('Succeeded', 'SourceLost', loss);
    const isCreated = effects.some((one) => one.type === 'CreateRestoreRequest');
    return draft.plan(
      'RollingBack',
      effects,
      isCreated ? 0 : Math.min(pollMs, Math.max(waitMs, 0)),
    );
  }
  const why =
    decision.reason === 'SourceLost'
      ? failureHints(decision, [sourceAgent, targetAgent])
      : `Aborted: ${decision.message}`;
  return draft.finish(false, 'SourceLost', sentences([loss, why, outcome]));
}

/** Finished: the agents may still complete the report, and nothing may be left behind. */
function afterFinish(observed: Observed, now: number): MigrationPlan {
  const { status } = observed.request;
  const own = pick<OwnStatus>(status, ownedStatus);
  const report = makeReport(status ?? {});
  const late = afterReturn(observed, now);
  if (late) {
    return { status: { ...own, report }, effects: late.effects, requeueAfterMs: late.lookAgainMs };
  }
  const plan = planRemaining<OwnStatus>(observed, ownedStatus, now);
  return { ...plan, status: { ...own, ...plan.status, report } };
}
