// SPDX-License-Identifier: Apache-2.0
// Virtual time: a queue of events. Between two events every promise settles. An event and the code that it wakes are one
// step, which belongs to one process.
import type { Random } from './random.ts';

/** A process, as far as the timeline has to know it. */
export interface EventOwner {
  readonly name: string;
  readonly alive: boolean;
  /** Virtual time until which its events wait. */
  readonly pausedUntil: number;
  /** Milliseconds by which its clock is ahead. */
  readonly skewMs: number;
}

interface Event {
  readonly at: number;
  readonly sequence: number;
  readonly owner: EventOwner | undefined;
  /** Wakes no promise, so nothing has to settle after it. */
  readonly isOutside: boolean;
  run: (() => void) | undefined;
}

export interface Cancel {
  cancel(): void;
}

export class Timeline {
  readonly random: Random;
  /** The process to which this step belongs. */
  currentProcess: EventOwner | undefined;
  steps = 0;
  /** Errors that no code has caught. They end the run. */
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

  /** Runs once, `ms` milliseconds from now, unless its owner has died by then. */
  after(ms: number, run: () => void, owner?: EventOwner): Cancel {
    return this.#add(ms, run, owner, false);
  }

  /** For an event outside of every process that wakes no promise: it is no step, and costs less than one. */
  afterWithoutStep(ms: number, run: () => void): void {
    this.#add(ms, run, undefined, true);
  }

  /** A random duration between two, in milliseconds. */
  jitter(min: number, max: number): number {
    return this.random.between(min, max);
  }

  /** Runs events up to the end of one step. @returns false when no event is left */
  async step(): Promise<boolean> {
    for (;;) {
      const event = this.#pop();
      if (!event) return false;
      const { run, owner, isOutside } = event;
      if (!run || owner?.alive === false) continue;
      this.#now = Math.max(this.#now, event.at);
      if (owner && owner.pausedUntil > this.#now) {
        this.#add(owner.pausedUntil - this.#now, run, owner, false);
        continue;
      }
      if (isOutside) {
        run();
        continue;
      }
      this.currentProcess = owner;
      this.steps++;
      run();
      await promisesSettled();
      this.currentProcess = undefined;
      return true;
    }
  }

  #add(ms: number, run: () => void, owner: EventOwner | undefined, isOutside: boolean): Cancel {
    const at = this.#now + Math.max(ms, 0);
    const event: Event = { at, sequence: this.#sequence++, owner, isOutside, run };
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

const batchSize = 64;
let pendingTicks = 0;
let wake: (() => void) | undefined;

/**
 * Resolves when every promise has settled: Node.js runs all microtasks before the next immediate. Immediates are set in
 * batches, because one turn of the event loop for each step would cost more than the step.
 */
function promisesSettled(): Promise<void> {
  return new Promise((resolve) => {
    wake = resolve;
    if (pendingTicks > 0) return;
    pendingTicks = batchSize;
    for (let count = 0; count < batchSize; count++) setImmediate(tick);
  });
}

function tick(): void {
  pendingTicks--;
  const call = wake;
  wake = undefined;
  call?.();
}
