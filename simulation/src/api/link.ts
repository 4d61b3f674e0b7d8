// SPDX-License-Identifier: Apache-2.0
// The way from one client to the API server: how long it takes, and whether it is cut.
import type { Timeline } from '../timeline.ts';

export class Link {
  readonly #timeline: Timeline;
  #cutUntil = 0;
  #slowUntil = 0;
  #slowBy = 0;
  #lagUntil = 0;
  #lagBy = 0;

  constructor(timeline: Timeline) {
    this.#timeline = timeline;
  }

  /** Nothing passes for that long; what is under way is lost. */
  cut(ms: number): void {
    this.#cutUntil = Math.max(this.#cutUntil, this.#timeline.now + ms);
  }

  /** Everything takes up to `by` longer. */
  slow(ms: number, by: number): void {
    this.#slowUntil = this.#timeline.now + ms;
    this.#slowBy = by;
  }

  /** Watches, and so caches, fall behind by `by`; requests do not. */
  lag(ms: number, by: number): void {
    this.#lagUntil = this.#timeline.now + ms;
    this.#lagBy = by;
  }

  heal(): void {
    this.#cutUntil = this.#slowUntil = this.#lagUntil = 0;
  }

  get isCut(): boolean {
    return this.#timeline.now < this.#cutUntil;
  }

  get healedAt(): number {
    return this.#cutUntil;
  }

  /** Milliseconds of one way. */
  delay(): number {
    const slow = this.#timeline.now < this.#slowUntil ? this.#timeline.jitter(0, this.#slowBy) : 0;
    return this.#timeline.jitter(0.2, 2) + slow;
  }

  /** Milliseconds from a change to the watch's event. */
  watchDelay(): number {
    const lag = this.#timeline.now < this.#lagUntil ? this.#timeline.jitter(0, this.#lagBy) : 0;
    return this.delay() + this.#timeline.jitter(0, 3) + lag;
  }
}
