// SPDX-License-Identifier: Apache-2.0
// Time as a dependency, so that tests can move it.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** @param call runs once after `ms` unless cancelled. */
  after(ms: number, call: () => void): Timer;
  /** Resolves after `ms`; at once, without an error, when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** From 0 to 1, to spread what many do at the same time. Absent: nothing is spread, and tests see exact times. */
  random?(): number;
}

/** Half to one and a half times `ms`: clients that failed together do not come back together. */
export function jittered(ms: number, clock: Clock): number {
  return clock.random ? ms * (0.5 + clock.random()) : ms;
}

/** `sleep`, built on the other two. */
export abstract class BaseClock implements Clock {
  abstract now(): number;
  abstract after(ms: number, call: () => void): Timer;

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = this.after(ms, done);
    signal?.addEventListener('abort', done, { once: true });
    return promise;
  }
}

/** setTimeout turns a longer time into 1 ms. */
const maxTimeout = 2 ** 31 - 1;

class RealClock extends BaseClock {
  random(): number {
    return Math.random();
  }
  now(): number {
    return Date.now();
  }
  after(ms: number, call: () => void): Timer {
    const timer = setTimeout(call, Math.min(Math.max(ms, 0), maxTimeout));
    return { cancel: () => clearTimeout(timer) };
  }
}

export const realClock: Clock = new RealClock();

/** A clock that stands still until a test advances it. */
export class FakeClock extends BaseClock {
  #now: number;
  #sequence = 0;
  #timers: { at: number; sequence: number; call: () => void }[] = [];

  constructor(now = Date.parse('2026-01-01T00:00:00Z')) {
    super();
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, call: () => void): Timer {
    const entry = { at: this.#now + Math.max(ms, 0), sequence: this.#sequence++, call };
    this.#timers.push(entry);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== entry);
      },
    };
  }

  /** Runs, in order, every timer due within `ms`, letting promises settle in between. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    for (;;) {
      await settle();
      const due = this.#timers
        .filter((timer) => timer.at <= end)
        .sort((a, b) => a.at - b.at || a.sequence - b.sequence)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#now = Math.max(this.#now, due.at);
      due.call();
    }
    this.#now = end;
    await settle();
  }
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** RFC 3339 with milliseconds, as the API expects it. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString();
}
