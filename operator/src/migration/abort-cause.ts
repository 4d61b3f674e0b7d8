// SPDX-License-Identifier: Apache-2.0
// Why an undecided migration has to be aborted. Pure.
import { hasCompleted, podCompleted, type Decision } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import {
  agentCause,
  deadlineCause,
  deletionCause,
  targetCause,
  type AbortCause,
} from '../requests/abort-cause.ts';
import { isPrepared } from '../requests/deadlines.ts';
import { isDetached } from '../target-pod/controllers.ts';
import { refuseLostHostName, specWithHostName } from '../target-pod/host-name.ts';
import { controllerOf } from '../target-pod/ownership.ts';
import { restartsOf } from '../target-pod/pod-rules.ts';
import { refuseOtherTarget } from '../target-pod/target-differences.ts';
import { awaitsName, nameMessage } from './name-steps.ts';
import { memoryCause } from './target-memory.ts';
import type { Observed } from './types.ts';

/** @returns the first cause, in the order of what a user would want to read; undefined: continue. */
export function abortCause(observed: Observed, now: number): AbortCause | undefined {
  const { request } = observed;
  return (
    deletionCause(request) ??
    cancelCause(observed) ??
    sourceCause(observed) ??
    agentCause(request) ??
    targetCause(observed, 'TargetRejected') ??
    hostNameCause(observed) ??
    differenceCause(observed) ??
    memoryCause(observed, now) ??
    deadlineCause(observed, now) ??
    nameCause(observed, now)
  );
}

/** Before the pause only: afterwards an abort does more harm than another host name. */
function hostNameCause({ request, sourcePod, targetPod, nodes }: Observed): AbortCause | undefined {
  if (request.status?.deadlines?.blackout !== undefined) return undefined;
  const template = sourcePod && specWithHostName(sourcePod);
  const node = nodes.find((one) => one.metadata.name === request.status?.target?.nodeName);
  return refuseLostHostName(template, targetPod, node);
}

/** Before the pause only: in it nothing can be mended any more, and a restore that can succeed should. */
function differenceCause({ request, sourcePod, targetPod }: Observed): AbortCause | undefined {
  if (request.status?.deadlines?.blackout !== undefined) return undefined;
  return refuseOtherTarget(sourcePod, targetPod);
}

/** The policy may take a moment to see the request; a target that waits has its limit, too. */
function nameCause(observed: Observed, now: number): AbortCause | undefined {
  const { deadlines } = observed.request.status ?? {};
  if (!awaitsName(observed) || deadlines?.blackout !== undefined) return undefined;
  if (!isPrepared(observed.request) || now <= Date.parse(deadlines?.prepare ?? ''))
    return undefined;
  return { reason: 'NameNotReserved', message: nameMessage(observed) };
}

function cancelCause({ request }: Observed): AbortCause | undefined {
  return request.spec.cancel
    ? { reason: 'Cancelled', message: 'The user cancelled the move: spec.cancel is set.' }
    : undefined;
}

function sourceCause(observed: Observed): AbortCause | undefined {
  const { request, sourcePod } = observed;
  const name = request.spec.podName;
  const gone = (what: string): AbortCause => ({
    reason: 'SourceGone',
    message: `The source pod ${name} ${what} before the decision: there is nothing left to move.`,
  });
  if (!sourcePod) return gone('was deleted');
  if (sourcePod.metadata.uid !== request.status?.source?.podUID) return gone('was replaced');
  if (sourcePod.metadata.deletionTimestamp !== undefined) return gone('is being deleted');
  if (isCompleted(observed)) return podCompleted(name);
  const changed = controllerCause(observed, sourcePod);
  if (changed) return changed;
  const lost = (what: string): AbortCause => ({
    reason: 'SourceLost',
    message: `The source pod ${name} ${what}; what it had in memory is lost.`,
  });
  if (sourcePod.status.phase === 'Failed') return lost('has failed');
  const { restarts } = request.status.source;
  if (restarts !== undefined && restartsOf(sourcePod) > restarts) return lost('was restarted');
  return undefined;
}

/** A source that another controller has taken, or that its own has given up. */
function controllerCause({ request }: Observed, sourcePod: Pod): AbortCause | undefined {
  const { podName } = request.spec;
  const before = request.status?.source?.controller;
  const now = controllerOf(sourcePod);
  if (now?.uid === before?.uid) return undefined;
  if (!before) {
    return {
      reason: 'PodHasController',
      message: `The source pod ${podName} was adopted by ${now?.kind ?? ''} ${now?.name ?? ''} after the move began. Create a new request.`,
    };
  }
  const isStandIn = request.status?.source?.standsInFor !== undefined;
  if ((before.handover === 'BeforeHold' || isStandIn) && isDetached(sourcePod)) return undefined;
  // A landing pod that has waited belongs to nobody.
  if (isStandIn && !now) return undefined;
  return {
    reason: 'ControllerChanged',
    message: `The source pod ${podName} no longer belongs to ${before.kind} ${before.name}: its labels, its owner or that controller were changed or deleted. Create a new request.`,
  };
}

/** Whether the source pod has done its work: every container has ended with exit code 0 and is not started again. */
export function isCompleted({ request, sourcePod }: Observed): boolean {
  return (
    sourcePod !== undefined &&
    sourcePod.metadata.uid === request.status?.source?.podUID &&
    hasCompleted(sourcePod)
  );
}

/**
 * What an aborted migration ends with: its decision, with one exception. The source's agent misses the containers of a
 * completed pod before the kubelet has reported them as completed, and then takes the pod for lost.
 */
export function endedCause(observed: Observed, decision: Decision): AbortCause {
  return decision.reason === 'SourceLost' && isCompleted(observed)
    ? podCompleted(observed.request.spec.podName)
    : decision;
}
