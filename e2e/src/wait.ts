// SPDX-License-Identifier: Apache-2.0
// Waiting with a deadline and a reason.
import { setTimeout as sleep } from 'node:timers/promises';

/** Something did not happen in time, or cannot happen any more (`code` NotReached). */
export class NotReachedError extends Error {
  readonly code = 'NotReached';
  constructor(message: string) {
    super(message);
    this.name = 'NotReachedError';
  }
}

export interface WaitOptions {
  /** Seconds. */
  readonly within: number;
  /** Seconds between looks. */
  readonly every?: number;
}

/**
 * Looks until `look` gives something else than undefined.
 * @throws NotReachedError with `what` and what `look` last complained about
 */
export async function until<T>(
  what: string,
  options: WaitOptions,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const end = Date.now() + options.within * 1000;
  let last = '';
  for (;;) {
    try {
      const value = await look();
      if (value !== undefined) return value;
      last = '';
    } catch (error) {
      if (error instanceof NotReachedError) throw error;
      last = error instanceof Error ? `: ${error.message}` : '';
    }
    if (Date.now() >= end)
      throw new NotReachedError(`${what}: not within ${options.within} s${last}`);
    await sleep((options.every ?? 1) * 1000);
  }
}

export const seconds = (n: number): Promise<void> => sleep(n * 1000);
