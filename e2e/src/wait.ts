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

/** Seconds between the lines of a long wait. */
const LINE_EVERY_S = 25;

/** Passes a line on, then none for a while: a long wait shows that it is one, and does not fill the log. */
export function sparing(log: (line: string) => void): (line: string) => void {
  let next = 0;
  return (line) => {
    if (Date.now() < next) return;
    next = Date.now() + LINE_EVERY_S * 1000;
    log(line);
  };
}

/** Calls `say` now and every 25 s until the work has ended. */
export async function sayWhile<T>(work: Promise<T>, say: () => void): Promise<T> {
  say();
  const timer = setInterval(say, LINE_EVERY_S * 1000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

export const sleepSeconds = (n: number): Promise<void> => sleep(n * 1000);
