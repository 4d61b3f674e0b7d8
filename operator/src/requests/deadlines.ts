// SPDX-License-Identifier: Apache-2.0
// Deadlines of a handover. All are part of the status, as times of the leader's clock; a later leader counts anew (adopted-times.ts). Pure.
//   prepare       from the acceptance until the target waits at its create gate
//   retry         if other nodes are tried: three times as long, from the acceptance
//   blackout      from then until the decision
//   confirmation  from the decision until the nodes have confirmed it
//   lastLook      from the target's resume until the operator says that it runs
import { timeoutsOf, type Deadlines } from '../../../crds/src/index.ts';
import { timestamp } from '../../../kube/src/index.ts';
import { targetProblem } from '../target-pod/health.ts';
import type { HandoverObserved, HandoverRequest } from './handover-types.ts';

/** Watches report changes; this interval catches what a watch has missed. */
export const pollMs = 15_000;
/** How long the agent of a dry run may take to look. It looks at every object three times, a fraction of a second apart. */
export const inspectionMs = 60_000;
/** How long the operator waits for the nodes' confirmation after `Aborted`. */
export const abortConfirmationMs = 60_000;
/** How long it waits for the target's confirmation after `Committed`. */
export const commitConfirmationMs = 300_000;
/** How soon a kubelet reports a container that has ended right after its resume. */
export const lastLookMs = 3_000;

interface WithDeadlines {
  deadlines?: Deadlines | undefined;
}

/** Whether the target is at its create gate, or past it. */
export function isPrepared({ status }: HandoverRequest): boolean {
  return status?.targetAgent !== undefined && status.targetAgent.state !== 'Preparing';
}

export function prepareDeadline(request: HandoverRequest, now: number): string {
  return timestamp(now + timeoutsOf(request).prepareSeconds * 1000);
}

/** How many prepare deadlines the tries on other nodes may take, after the first one. */
export const mostRetries = 2;

/**
 * For a pod on another node. All of them end together, so that a request that is refused everywhere ends, too.
 * @returns undefined: that time is over
 */
export function retryDeadlines(
  { deadlines = {} }: WithDeadlines,
  request: HandoverRequest,
  now: number,
): Deadlines | undefined {
  const ms = timeoutsOf(request).prepareSeconds * 1000;
  const first = deadlines.prepare === undefined ? now + ms : Date.parse(deadlines.prepare);
  const retry = deadlines.retry ?? timestamp(first + mostRetries * ms);
  const end = Date.parse(retry);
  if (now >= end) return undefined;
  return { ...deadlines, retry, prepare: timestamp(Math.min(now + ms, end)) };
}

/**
 * Starts the blackout once the target is prepared. The source's agent may hold the device as soon as this deadline is
 * published, so a plan never sets it together with an abort.
 */
export function startBlackout(status: WithDeadlines, request: HandoverRequest, now: number): void {
  if (!isPrepared(request) || status.deadlines?.blackout !== undefined) return;
  const blackout = timestamp(now + timeoutsOf(request).blackoutSeconds * 1000);
  status.deadlines = { ...status.deadlines, blackout };
}

/**
 * Sets the deadline for the nodes' confirmation, once.
 * @param proposed milliseconds since the epoch, by the operator's own clock: another component's clock gave the
 * decision its time
 * @returns milliseconds since the epoch
 */
export function confirmationDeadline(status: WithDeadlines, proposed: number): number {
  const known = status.deadlines?.confirmation;
  if (known !== undefined) return Date.parse(known);
  status.deadlines = { ...status.deadlines, confirmation: timestamp(proposed) };
  return proposed;
}

/** Sets the time of the last look at a target that runs, once. @returns milliseconds since the epoch */
export function lastLookAt(status: WithDeadlines, now: number): number {
  const known = status.deadlines?.lastLook;
  if (known !== undefined) return Date.parse(known);
  status.deadlines = { ...status.deadlines, lastLook: timestamp(now + lastLookMs) };
  return now + lastLookMs;
}

/** @returns in how many milliseconds an undecided request has to be reconciled again. */
export function untilNextDeadline(
  { request, targetPod, unschedulableMs }: HandoverObserved,
  deadlines: Deadlines | undefined,
  now: number,
): number {
  const deadline = deadlines?.blackout ?? deadlines?.prepare;
  const expiryMs = deadline === undefined ? Infinity : Date.parse(deadline) + 1 - now;
  const problem = targetPod && targetProblem(targetPod, unschedulableMs, isPrepared(request));
  return Math.min(pollMs, Math.max(0, expiryMs), problem?.recheckMs ?? Infinity);
}
