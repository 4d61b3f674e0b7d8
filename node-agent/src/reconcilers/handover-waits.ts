// SPDX-License-Identifier: Apache-2.0
// Who answers the peers after Committed. The source does until the target does. Then both do, each with RNR NAKs only.
// Then the target alone does, and resumes once the source is stopped. docs/adr/0008.
import type { MigrationRequest, TargetState } from '../../../crds/src/index.ts';
import type { Clock } from '../../../kube/src/index.ts';
import type { Handover } from '../callers/request-lookup.ts';

/** How long a source answers the peers while the target does not report that it does. Longer than TARGET_WAIT_MS. */
export const SOURCE_WAIT_MS = 5_000;
/** How long a target that answers waits for a source that does not report that it is stopped. */
export const TARGET_WAIT_MS = 3_000;
/** Of a condition whose changes nothing tells. */
const POLL_MS = 20;

const answering: ReadonlySet<TargetState | undefined> = new Set([
  ...(['Answering', 'Running', 'TornDown', 'Failed'] as const),
]);

/** Whether a source need not answer the peers any more, after Committed. A deleted request needs none. */
export function isTargetAnswering(request: MigrationRequest | undefined): boolean {
  return request === undefined || answering.has(request.status?.targetAgent?.state);
}

/** Whether no source answers at the target's addresses. A restore from a checkpoint has no source. */
export function isSourceStopped(request: Handover | undefined): boolean {
  if (request?.kind !== 'MigrationRequest') return true;
  return request.status?.sourceAgent?.state === 'Gone';
}

interface Wait {
  clock: Clock;
  waitMs: number;
  signal: AbortSignal;
  /** Calls whenever the condition may have changed, until the result is called. Absent: the condition is looked at often. */
  changes?: ((changed: () => void) => () => void) | undefined;
}

/**
 * Waits until the condition is met, at most for `waitMs`: the other side may be dead.
 * @returns the condition's last result; false if the time is over
 * @throws the signal's reason when the agent stops
 */
export async function waitUntil<T>(
  condition: () => T | false | Promise<T | false>,
  { clock, waitMs, signal, changes }: Wait,
): Promise<T | false> {
  const until = clock.now() + waitMs;
  for (;;) {
    // Listens before it looks, and misses nothing in between.
    const changed = new AbortController();
    const stop = changes?.(() => changed.abort());
    try {
      const result = await condition();
      const leftMs = until - clock.now();
      if (result !== false || leftMs <= 0) return result;
      const ms = changes ? leftMs : Math.min(leftMs, POLL_MS);
      await clock.sleep(ms, AbortSignal.any([signal, changed.signal]));
    } finally {
      stop?.();
    }
    signal.throwIfAborted();
  }
}
