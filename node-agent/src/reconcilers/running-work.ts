// SPDX-License-Identifier: Apache-2.0
// The work on the pods of this node. An agent can stop the work that it no longer needs, cuts it at its limit, and waits
// for its end before it undoes the effects.
import type { Clock } from '../../../kube/src/index.ts';
import { doWithin, type Limit } from './step-limits.ts';

/** How long a dump that was cut may take to detach from the tasks. One that hangs in the kernel must not block the rest. */
const DETACH_TIMEOUT_MS = 10_000;

export class RunningWork {
  readonly #clock: Clock;
  readonly #stoppable = new Map<string, AbortController>();
  /** The last work of each request, ended or not, even if nothing waits for it any more. */
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Does the work within its limit. Its signal aborts at the limit and on `stop`.
   * @throws DeadlineError with the limit's code
   */
  async run<R>(
    uid: string,
    limit: Limit | undefined,
    work: (signal: AbortSignal) => Promise<R>,
  ): Promise<R> {
    const stop = new AbortController();
    this.#stoppable.set(uid, stop);
    try {
      return await doWithin(limit, this.#clock, stop, () => {
        const running = work(stop.signal);
        this.#running.set(uid, running);
        return running;
      });
    } finally {
      this.#stoppable.delete(uid);
    }
  }

  /** Aborts the request's work: its result is of no more use. */
  stop(uid: string): void {
    this.#stoppable.get(uid)?.abort();
  }

  /** Resolves when the request's work has ended, or after the time that it may take to detach. */
  async waitForEnd(uid: string): Promise<void> {
    const running = this.#running.get(uid)?.catch(() => undefined);
    if (running) await Promise.race([running, this.#clock.sleep(DETACH_TIMEOUT_MS)]);
  }

  /** The request is deleted. */
  forget(uid: string): void {
    this.#running.delete(uid);
  }
}
