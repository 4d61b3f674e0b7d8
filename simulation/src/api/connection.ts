// SPDX-License-Identifier: Apache-2.0
// The network between one client and the API server: its latency, and whether it is cut.
import type { Timeline } from '../timeline.ts';

export class Connection {
  readonly #timeline: Timeline;
  /** Virtual times. */
  #cutUntil = 0;
  #slowUntil = 0;
  #slowBy = 0;
  #lagUntil = 0;
  #lagBy = 0;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** Loses requests and replies for that long, those under way included. */
  cut(ms: number): void {
    this.#cutUntil = Math.max(this.#cutUntil, this.#timeline.now + ms);
  }

  /** For `ms`, requests and events take up to `byMs` longer. */
  slowDown(ms: number, byMs: number): void {
    this.#slowUntil = this.#timeline.now + ms;
    this.#slowBy = byMs;
  }

  /** For `ms`, the events of watches come up to `byMs` late. Requests do not. */
  delayWatches(ms: number, byMs: number): void {
    this.#lagUntil = this.#timeline.now + ms;
    this.#lagBy = byMs;
  }

  heal(): void {
    this.#cutUntil = this.#slowUntil = this.#lagUntil = 0;
  }

  get isCut(): boolean {
    return this.#timeline.now < this.#cutUntil;
  }

  get cutUntil(): number {
    return this.#cutUntil;
  }

  /** Milliseconds for one direction. */
  delay(): number {
    const slow = this.#timeline.now < this.#slowUntil ? this.#timeline.jitter(0, this.#slowBy) : 0;
    return this.#timeline.jitter(0.2, 2) + slow;
  }

  /** Milliseconds from a change to the event of a watch. */
  watchDelay(): number {
    const lag = this.#timeline.now < this.#lagUntil ? this.#timeline.jitter(0, this.#lagBy) : 0;
    return this.delay() + this.#timeline.jitter(0, 3) + lag;
  }
}
