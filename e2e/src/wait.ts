// SPDX-License-Identifier: Apache-2.0
// Waits with a deadline.
import { setTimeout as sleep } from 'node:timers/promises';
import { provider } from './provider/choice.ts';

/** Something has not happened in time, or cannot happen any more (`code` NotReached). */
export class NotReachedError extends Error {
  readonly code = 'NotReached';
  constructor(message: string) {
    super(message);
    this.name = 'NotReachedError';
  }
}

export interface WaitOptions {
  /** Seconds, on the lab; elsewhere `Provider.slowness` times that. */
  readonly within: number;
  /** Seconds between checks. Absent: 1. */
  readonly every?: number;
}

/**
 * Calls `check` until it returns a value. An error that it throws means: not yet, except a NotReachedError.
 * @throws NotReachedError with `what` and the last error of `check`
 */
export async function until<T>(
  what: string,
  options: WaitOptions,
  check: () => Promise<T | undefined>,
): Promise<T> {
  const within = options.within * provider.slowness;
  const end = Date.now() + within * 1000;
  let last = '';
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined) return value;
      last = '';
    } catch (error) {
      if (error instanceof NotReachedError) throw error;
      last = error instanceof Error ? `: ${error.message}` : '';
    }
    if (Date.now() >= end) throw new NotReachedError(`${what}: not within ${within} s${last}`);
    await sleep((options.every ?? 1) * 1000);
  }
}

export const sleepSeconds = (n: number): Promise<void> => sleep(n * 1000);
