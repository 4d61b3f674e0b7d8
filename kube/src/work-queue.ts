// SPDX-License-Identifier: Apache-2.0
// Keys that wait for work. A key is in the queue at most once and in work at most once. A key that is added while it is
// in work comes again afterwards.
import { jittered, type Clock, type Timer } from './clock.ts';

export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

const defaultBackoff: Backoff = { baseMs: 50, maxMs: 30_000 };

const acceptsAll = (): boolean => true;

interface Taker {
  readonly accepts: (key: string) => boolean;
  readonly resolve: (key: string | undefined) => void;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  /** In order of arrival. `take` returns keys that are here and not in #processing. */
  readonly #dirty = new Set<string>();
  readonly #processing = new Set<string>();
  readonly #delayed = new Map<string, { at: number; timer: Timer }>();
  readonly #failures = new Map<string, number>();
  readonly #waiting: Taker[] = [];
  #closed = false;

  constructor(clock: Clock, backoff: Backoff = defaultBackoff) {
    this.#clock = clock;
    this.#backoff = backoff;
  }

  /** How many keys `take` could return now. */
  get length(): number {
    let count = 0;
    for (const key of this.#dirty) if (!this.#processing.has(key)) count++;
    return count;
  }

  /** How many keys were taken and not given back. */
  get inWork(): number {
    return this.#processing.size;
  }

  add(key: string): void {
    if (this.#closed) return;
    this.#dirty.add(key);
    this.#offer(key);
  }

  /** Adds after `ms`. Of two times for one key the earlier one counts. */
  addAfter(key: string, ms: number): void {
    if (this.#closed) return;
    if (ms <= 0) return this.add(key);
    const at = this.#clock.now() + ms;
    const known = this.#delayed.get(key);
    if (known && known.at <= at) return;
    known?.timer.cancel();
    const timer = this.#clock.after(ms, () => {
      this.#delayed.delete(key);
      this.add(key);
    });
    this.#delayed.set(key, { at, timer });
  }

  /**
   * Adds after a wait that doubles with each consecutive failure, with jitter.
   * @param leastMs what the server has asked for
   * @returns the wait in ms
   */
  addAfterFailure(key: string, leastMs = 0): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const next = Math.min(this.#backoff.baseMs * 2 ** Math.min(failures, 40), this.#backoff.maxMs);
    const ms = Math.max(jittered(next, this.#clock), leastMs);
    this.addAfter(key, ms);
    return ms;
  }

  /** Resets the failures of a key. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /**
   * @param accepts which keys the caller takes: asked about each that waits, and then about one that is added or given back, once
   * for all callers with the same function. What it says of a key changes only before that key is added again.
   * @returns a key, which the caller gives back with `done`; undefined once the queue is closed.
   */
  take(accepts: (key: string) => boolean = acceptsAll): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    for (const key of this.#dirty) {
      if (this.#processing.has(key) || !accepts(key)) continue;
      this.#begin(key);
      return Promise.resolve(key);
    }
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.#waiting.push({ accepts, resolve });
    return promise;
  }

  done(key: string): void {
    this.#processing.delete(key);
    if (this.#dirty.has(key)) this.#offer(key);
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#delayed.values()) timer.cancel();
    this.#delayed.clear();
    for (const { resolve } of this.#waiting.splice(0)) resolve(undefined);
  }

  /** To those that wait: they have refused all others. */
  #offer(key: string): void {
    if (this.#processing.has(key)) return;
    const refused = new Set<Taker['accepts']>();
    const at = this.#waiting.findIndex(({ accepts }) => {
      if (refused.has(accepts)) return false;
      refused.add(accepts);
      return accepts(key);
    });
    const [taker] = at < 0 ? [] : this.#waiting.splice(at, 1);
    if (!taker) return;
    this.#begin(key);
    taker.resolve(key);
  }

  #begin(key: string): void {
    this.#dirty.delete(key);
    this.#processing.add(key);
  }
}
