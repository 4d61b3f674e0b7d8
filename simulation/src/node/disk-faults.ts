// SPDX-License-Identifier: Apache-2.0
// What a node's disk does not take. Journal and images are on the same one: while it is full, one after another of the agent's
// writes fails; while it is read-only, nothing can be removed either.
import type { Timeline } from '../timeline.ts';

const errno = (code: string, message: string): Error => Object.assign(new Error(message), { code });

export class DiskFaults {
  readonly #timeline: Timeline;
  readonly #images: ReadonlyMap<string, unknown>;
  #fullUntil = 0;
  #readOnlyUntil = 0;
  /** Id of images that leave no room for anything else. */
  #filledBy: string | undefined;

  constructor(timeline: Timeline, images: ReadonlyMap<string, unknown>) {
    this.#timeline = timeline;
    this.#images = images;
  }

  fill(forMs: number): void {
    this.#fullUntil = this.#timeline.now + forMs;
  }

  /** Until these images are removed. */
  fillBy(id: string): void {
    this.#filledBy = id;
  }

  makeReadOnly(forMs: number): void {
    this.#readOnlyUntil = this.#timeline.now + forMs;
  }

  /** A boot mounts the disk again, as full as it is. */
  boot(): void {
    this.#readOnlyUntil = 0;
  }

  heal(): void {
    this.#fullUntil = 0;
    this.#readOnlyUntil = 0;
  }

  get isFull(): boolean {
    const isFilled = this.#filledBy !== undefined && this.#images.has(this.#filledBy);
    return isFilled || this.#timeline.now < this.#fullUntil;
  }

  /** @throws ENOSPC, EROFS */
  write(): void {
    this.remove();
    if (this.isFull) throw errno('ENOSPC', 'no space left on device (simulated)');
  }

  /** @throws EROFS */
  remove(): void {
    if (this.#timeline.now < this.#readOnlyUntil)
      throw errno('EROFS', 'read-only file system (simulated)');
  }
}
