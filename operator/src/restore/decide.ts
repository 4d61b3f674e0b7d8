// SPDX-License-Identifier: Apache-2.0
// What to do next about a RestoreRequest. Pure. No source resumes, so the decision only says whether the target runs.
import {
  isFinished,
  timeoutsOf,
  type Decision,
  type TargetPlacement,
  type TargetState,
} from '../../../crds/src/index.ts';
import { agentAddress } from '../nodes/node-choice.ts';
import {
  pollMs,
  prepareDeadline,
  startBlackout,
  untilNextDeadline,
} from '../requests/deadlines.ts';
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
  placementOn,
  placeText,
  recordTarget,
  showTarget,
  showTargetState,
} from '../requests/handover.ts';
import { failureHints, sentences } from '../requests/message.ts';
import type { Refusal } from '../refusal.ts';
import { abortCause } from './abort-cause.ts';
import {
  ownedStatus,
  type Effect,
  type Observed,
  type OwnStatus,
  type PodIdentity,
  type RestoreDraft,
  type RestorePlan,
} from './types.ts';
import { chooseAnother, validate } from './validate.ts';

export function decideRestore(observed: Observed, now: number): RestorePlan {
  const { request } = observed;
  if (isFinished(request)) return planRemaining<OwnStatus>(observed, ownedStatus, now);
  const draft: RestoreDraft = new HandoverDraft(request, ownedStatus, now);
  const unprotected = planFinalizer(observed, draft);
  if (unprotected) return unprotected;
  const { decision, source } = request.status ?? {};
  if (decision?.outcome === 'Committed') return committed(observed, draft, decision);
  if (decision) return aborted(observed, draft, decision);
  return source ? undecided(observed, draft) : accept(observed, draft);
}

function accept(observed: Observed, draft: RestoreDraft): RestorePlan {
  const { request, checkpoint, podName, nodes } = observed;
  const { progress, now } = draft;
  if (request.metadata.deletionTimestamp !== undefined) {
    return draft.finish(
      false,
      'Cancelled',
      'The request was cancelled before the operator created anything.',
    );
  }
  const result = validate(observed);
  if ('reason' in result) return awaitMemory(draft, request, result) ?? draft.refuse(result);
  const { nodes: fit, identity } = result;
  const target = { podName, ...placementOn(fit) };
  const { nodeName = '', podUID, checkpointId, digest } = checkpoint?.status ?? {};
  const imageSource = nodes.find((one) => one.metadata.name === nodeName);
  progress.accepted(`The new pod is to run on ${placeText(target)}.`);
  draft.status = {
    ...draft.status,
    checkpointId,
    digest,
    source: {
      nodeName,
      podName: checkpoint?.spec.podName,
      podUID,
      agentAddress: imageSource && agentAddress(imageSource),
    },
    target,
    deadlines: { prepare: prepareDeadline(request, now) },
  };
  return draft.plan('Preparing', [createTarget(target, identity)], pollMs);
}

/**
 * What the nodes say is seconds old: of a pod that was lost with its node it may be from before that. So a restore that only
 * lacks memory waits, for as long as a target may take.
 * @returns undefined: it is refused
 */
function awaitMemory(
  draft: RestoreDraft,
  request: Observed['request'],
  { reason, message }: Refusal,
): RestorePlan | undefined {
  if (reason !== 'NotEnoughMemory') return undefined;
  const { progress, status, now } = draft;
  const prepare = status.deadlines?.prepare ?? prepareDeadline(request, now);
  const leftMs = Date.parse(prepare) - now;
  if (leftMs < 0) return undefined;
  const { prepareSeconds } = timeoutsOf(request);
  const wait = `${message} The request waits for memory, for ${prepareSeconds} s at most (spec.timeouts.prepareSeconds).`;
  progress.waiting('Validated', reason, wait);
  progress.waiting('Succeeded', reason, wait);
  draft.status = { ...status, deadlines: { prepare } };
  return draft.plan('Pending', [], Math.min(pollMs, leftMs + 1));
}

const createTarget = (target: TargetPlacement, identity: PodIdentity): Effect => ({
  type: 'CreateTarget',
  nodeNames: nodesOf(target),
  identity,
});

/** Accepted and not decided. */
function undecided(observed: Observed, draft: RestoreDraft): RestorePlan {
  const { request, identity } = observed;
  const { now } = draft;
  const { target, targetAgent } = request.status ?? {};
  showTargetState(observed, draft);
  showTarget(observed, draft);
  const cause = abortCause(observed, now);
  const choose: Choose = (without, isWaiting) => chooseAnother(observed, without, isWaiting);
  const next = tryAnotherNode(observed, draft, cause, choose);
  if (next && 'effects' in next) return next;
  if (next) return planAbort(draft, next, 'TearingDown');
  startBlackout(draft.status, request, now);
  const canCreate = target && isTargetMissing(observed) && !('reason' in identity);
  const effects = canCreate ? [createTarget(target, identity)] : [];
  const waitMs = untilNextDeadline(observed, draft.status.deadlines, now);
  return draft.plan(phaseOf(targetAgent?.state), effects, waitMs);
}

function phaseOf(state: TargetState | undefined): OwnStatus['phase'] {
  switch (state) {
    case undefined:
    case 'Preparing':
      return 'Preparing';
    case 'AtCreateGate':
    case 'Receiving':
      return 'Transferring';
    default:
      return 'Restoring';
  }
}

function committed(observed: Observed, draft: RestoreDraft, decision: Decision): RestorePlan {
  const nodeName = observed.request.status?.target?.nodeName ?? '';
  showTargetState(observed, draft);
  return planCommitted(observed, draft, decision, {
    success: { reason: 'PodRestored', message: `Pod ${observed.podName} runs on ${nodeName}.` },
    work: () => ({ effects: [] }),
  });
}

function aborted(observed: Observed, draft: RestoreDraft, decision: Decision): RestorePlan {
  const { sourceAgent, targetAgent } = observed.request.status ?? {};
  showTargetState(observed, draft);
  recordTarget(observed, draft);
  showAbort(draft, decision);
  const deletion = planTargetDeletion(observed, draft, 'TearingDown');
  if (deletion) return deletion;
  const kept = keptMessage(ownTarget(observed));
  const hints = failureHints(decision, [sourceAgent, targetAgent]);
  return draft.finish(false, decision.reason, sentences([decision.message, hints, kept]));
}
