// SPDX-License-Identifier: Apache-2.0
// Until when a step must be done, and the reason if it is not. A limit is a time of this node's clock. The agent records
// it with the step's beginning: in the journal before the step's effect, and in its own part of the status. A restarted
// agent reads it from there: docs/adr/0007.
import { stepExceeded, type LimitedStep, type Step } from '../../../crds/src/index.ts';
import { Deadline, DeadlineError, type Clock } from '../../../kube/src/index.ts';
import type { Failure } from '../support/errors.ts';

export interface Limit {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly code: string;
  /** What took too long, and what to do. */
  readonly message: string;
}

export const blackoutExceeded: Failure = {
  code: 'BlackoutDeadlineExceeded',
  message:
    'The pod was not moved before the blackout deadline: raise spec.timeouts.blackoutSeconds if it needs longer.',
};

/** The limit that ends first. */
export function earliest(...limits: readonly (Limit | undefined)[]): Limit | undefined {
  return limits.reduce((a, b) => (!a || (b && b.at < a.at) ? b : a), undefined);
}

/** The limit of a step that has begun, under this agent or an earlier one. */
export function stepLimit(
  steps: readonly Step[] | undefined,
  step: LimitedStep,
  limitSeconds: number,
): Limit | undefined {
  const deadline = steps?.find((one) => one.name === step)?.deadline;
  if (deadline === undefined) return undefined;
  return { at: Date.parse(deadline), ...stepExceeded(step, limitSeconds) };
}

/**
 * Does the work within its limit. At the limit `stop` aborts with the DeadlineError, and this rejects at once: work that
 * hangs may not notice the abort.
 * @throws DeadlineError with the limit's code
 */
export async function doWithin<R>(
  limit: Limit | undefined,
  clock: Clock,
  stop: AbortController,
  work: () => Promise<R>,
): Promise<R> {
  if (!limit) return work();
  if (clock.now() >= limit.at) throw new DeadlineError(limit.code, limit.message);
  using deadline = new Deadline(limit.at, limit.code, undefined, clock, limit.message);
  const cut = (): void => stop.abort(deadline.signal.reason);
  deadline.signal.addEventListener('abort', cut, { once: true });
  return await deadline.race(work());
}
