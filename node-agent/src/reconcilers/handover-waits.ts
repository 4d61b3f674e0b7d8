// SPDX-License-Identifier: Apache-2.0
// After Committed, who answers the peers: the source until the target does, then both (each with RNR NAKs only), then
// the target, which goes on when the source is silent. docs/adr/0008.
import type { MigrationRequest, TargetState } from '../../../crds/src/index.ts';
import type { Clock } from '../../../kube/src/index.ts';
import type { Handover } from '../callers/request-lookup.ts';

/** How long a source goes on answering for a target that does not say that it does. Longer than the target's. */
export const SOURCE_WAIT_MS = 5_000;
/** How long a target that answers waits for a source that does not say that it is silent. */
export const TARGET_WAIT_MS = 3_000;
/** What is looked at is near: a cache that a watch keeps up, or a file of this node. */
const LOOK_MS = 20;

const answering: ReadonlySet<TargetState | undefined> = new Set([
  ...(['Answering', 'Running', 'TornDown', 'Failed'] as const),
]);

/** Whether a source need not answer any more, after Committed. */
export function isTargetAnswering(request: MigrationRequest | undefined): boolean {
  return request === undefined || answering.has(request.status?.targetAgent?.state);
}

/** Whether nobody answers in the place that the target takes. What is restored from a checkpoint has nobody there. */
export function isSourceSilent(request: Handover | undefined): boolean {
  if (request?.kind !== 'MigrationRequest') return true;
  return request.status?.sourceAgent?.state === 'Gone';
}

/**
 * Waits until the other side is so far, but no longer than that: it may be dead.
 * @returns the last answer: false, or what tells that it is
 * @throws the signal's reason when the agent is told to stop
 */
export async function waitUntil<T>(
  isSoFar: () => T | false | Promise<T | false>,
  of: { clock: Clock; waitMs: number; signal: AbortSignal },
): Promise<T | false> {
  const until = of.clock.now() + of.waitMs;
  for (;;) {
    const answer = await isSoFar();
    if (answer !== false || of.clock.now() >= until) return answer;
    await of.clock.sleep(LOOK_MS, of.signal);
    of.signal.throwIfAborted();
  }
}
