// SPDX-License-Identifier: Apache-2.0
// Until when something has to be done, and what it is called if it is not. A limit is absolute, by this node's clock,
// and is recorded where its beginning is: with the step, in the journal before its effect and in the agent's own part
// of the status. A restarted agent reads it from there; docs/adr/0007.
import { stepExceeded, type LimitedStep, type Step } from '../../../crds/src/index.ts';
import { Deadline, DeadlineError, type Clock } from '../../../kube/src/index.ts';

export interface Limit {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly code: string;
  /** What was exceeded, and what to do about it. */
  readonly message: string;
}

/** The first that ends. */
export function earliest(...limits: readonly (Limit | undefined)[]): Limit | undefined {
  return limits.reduce((a, b) => (!a || (b && b.at < a.at) ? b : a), undefined);
}

/** The limit of a step that was begun, whoever began it. */
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
 * Does the work until its limit: then `stop` aborts with the DeadlineError, and nobody waits for the work any longer,
 * because what hangs may not even notice.
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
