// SPDX-License-Identifier: Apache-2.0
// A limit in time that a long operation carries along, together with its cancellation.
import { realClock, type Clock } from './clock.ts';

export class DeadlineError extends Error {
  override readonly name = 'DeadlineError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export class Deadline implements Disposable {
  /** Aborts at the deadline or when the parent aborts; the reason is the error to throw. */
  readonly signal: AbortSignal;
  readonly at: number;
  readonly #clock: Clock;
  readonly #timer: { cancel(): void };

  /**
   * @param at milliseconds since the epoch
   * @param code of the DeadlineError, e.g. `BlackoutDeadlineExceeded`
   * @param message what to do about it
   */
  constructor(
    at: number,
    code: string,
    parent?: AbortSignal,
    clock: Clock = realClock,
    message = `not done by ${new Date(at).toISOString()}`,
  ) {
    this.at = at;
    this.#clock = clock;
    const own = new AbortController();
    this.#timer = clock.after(at - clock.now(), () => own.abort(new DeadlineError(code, message)));
    this.signal = parent ? AbortSignal.any([parent, own.signal]) : own.signal;
  }

  get remainingMs(): number {
    return Math.max(0, this.at - this.#clock.now());
  }

  /** Rejects with the deadline's error if the work does not end in time. The work itself continues. */
  async race<T>(work: Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const abort = (): void => reject(this.signal.reason as Error);
    this.signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([work, promise]);
    } finally {
      this.signal.removeEventListener('abort', abort);
    }
  }

  [Symbol.dispose](): void {
    this.#timer.cancel();
  }
}
