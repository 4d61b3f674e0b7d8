// SPDX-License-Identifier: Apache-2.0
// What is being done to pods of this node: told to stop when it is not needed any more, cut when its limit is over, and
// waited for before what it does is undone.
import type { Clock } from '../../../kube/src/index.ts';
import { doWithin, type Limit } from './step-limits.ts';

/** What was cut gets that long to let go of the tasks. What hangs in the kernel may never, and keeps nothing from going on. */
const LET_GO_MS = 10_000;

export class RunningWork {
  readonly #clock: Clock;
  readonly #stoppable = new Map<string, AbortController>();
  /** Also what nobody waits for any more. */
  readonly #working = new Map<string, Promise<unknown>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws DeadlineError with the limit's code; the work is told by its signal */
  async do<R>(
    uid: string,
    limit: Limit | undefined,
    work: (signal: AbortSignal) => Promise<R>,
  ): Promise<R> {
    const stop = new AbortController();
    this.#stoppable.set(uid, stop);
    try {
      return await doWithin(limit, this.#clock, stop, () => {
        const running = work(stop.signal);
        this.#working.set(uid, running);
        return running;
      });
    } finally {
      this.#stoppable.delete(uid);
    }
  }

  /** Nobody needs what is being done for this request. */
  stop(uid: string): void {
    this.#stoppable.get(uid)?.abort();
  }

  /** Resolves when nothing is done for the request any more, or nothing can be waited for. */
  async ended(uid: string): Promise<void> {
    const running = this.#working.get(uid)?.catch(() => undefined);
    if (running) await Promise.race([running, this.#clock.sleep(LET_GO_MS)]);
  }

  forget(uid: string): void {
    this.#working.delete(uid);
  }
}
