// SPDX-License-Identifier: Apache-2.0
// Virtual time. Everything that happens is an event with a moment; between two events every promise settles, so an
// event and what follows from it at once are one step, and belong to one process.
import type { Random } from './random.ts';
import type { Process } from './process.ts';

interface Event {
  readonly at: number;
  readonly sequence: number;
  readonly owner: Process | undefined;
  run: (() => void) | undefined;
}

export interface Cancel {
  cancel(): void;
}

export class Timeline {
  readonly random: Random;
  /** The process whose step this is. */
  current: Process | undefined;
  steps = 0;
  /** Errors that no code has caught: they end the run. */
  readonly crashes: unknown[] = [];
  #now: number;
  #sequence = 0;
  readonly #heap: Event[] = [];

  constructor(now: number, random: Random) {
    this.#now = now;
    this.random = random;
  }

  get now(): number {
    return this.#now;
  }

  /** Runs once, `ms` from now, unless its owner has died by then. */
  after(ms: number, run: () => void, owner?: Process): Cancel {
    const event: Event = {
      at: this.#now + Math.max(ms, 0),
      sequence: this.#sequence++,
      owner,
      run,
    };
    this.#push(event);
    return { cancel: () => (event.run = undefined) };
  }

  /** A few milliseconds, never twice the same. */
  jitter(min: number, max: number): number {
    return this.random.between(min, max);
  }

  /** One step. @returns false when nothing is left to happen. */
  async step(): Promise<boolean> {
    for (;;) {
      const event = this.#pop();
      if (!event) return false;
      const { run, owner } = event;
      if (!run || owner?.alive === false) continue;
      this.#now = Math.max(this.#now, event.at);
      this.current = owner;
      this.steps++;
      run();
      await settled();
      this.current = undefined;
      return true;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Event;
      if (!earlier(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right && earlier(right, heap[child] as Event)) child++;
      const below = heap[child] as Event;
      if (!earlier(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

const earlier = (a: Event, b: Event): boolean =>
  a.at < b.at || (a.at === b.at && a.sequence < b.sequence);

/** Node.js runs every microtask before the next immediate. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
