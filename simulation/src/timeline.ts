// SPDX-License-Identifier: Apache-2.0
// Virtual time. Everything that happens is an event with a moment; between two events every promise settles, so an
// event and what follows from it at once are one step, and belong to one process.
import type { Random } from './random.ts';
import type { Process } from './process.ts';

interface Event {
  readonly at: number;
  readonly sequence: number;
  readonly owner: Process | undefined;
  /** Wakes no promise of a process: nothing has to settle after it. */
  readonly isPlain: boolean;
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
    return this.#add(ms, run, owner, false);
  }

  /** For what happens outside of every process, and only leads to further events. */
  plainly(ms: number, run: () => void): void {
    this.#add(ms, run, undefined, true);
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
      const { run, owner, isPlain } = event;
      if (!run || owner?.alive === false) continue;
      this.#now = Math.max(this.#now, event.at);
      if (owner && owner.pausedUntil > this.#now) {
        this.#add(owner.pausedUntil - this.#now, run, owner, false);
        continue;
      }
      if (isPlain) {
        run();
        continue;
      }
      this.current = owner;
      this.steps++;
      run();
      await settled();
      this.current = undefined;
      return true;
    }
  }

  #add(ms: number, run: () => void, owner: Process | undefined, isPlain: boolean): Cancel {
    const at = this.#now + Math.max(ms, 0);
    const event: Event = { at, sequence: this.#sequence++, owner, isPlain, run };
    this.#push(event);
    return { cancel: () => (event.run = undefined) };
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

const batch = 64;
let ticks = 0;
let wake: (() => void) | undefined;

/**
 * Node.js runs every microtask before the next immediate. Immediates are asked for in batches: a turn of the event loop
 * for each step would cost more than the step.
 */
function settled(): Promise<void> {
  return new Promise((resolve) => {
    wake = resolve;
    if (ticks > 0) return;
    ticks = batch;
    for (let count = 0; count < batch; count++) setImmediate(tick);
  });
}

function tick(): void {
  ticks--;
  const call = wake;
  wake = undefined;
  call?.();
}
