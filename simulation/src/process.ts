// SPDX-License-Identifier: Apache-2.0
// A process of the simulated cluster. When it dies, its code stops at its next `await` for good: no timer, no reply and no
// effect reaches it.
import { BaseClock, type Clock, type Timer } from '../../kube/src/index.ts';
import type { EventOwner, Timeline } from './timeline.ts';

export class Process implements EventOwner {
  readonly name: string;
  readonly clock: Clock;
  readonly timeline: Timeline;
  alive = true;
  /** Ends its main loop. Aborted only when the simulation ends. */
  readonly stop = new AbortController();
  /** What it does when it is asked to end, before it ends. */
  finish: () => Promise<void> = () => Promise.resolve();
  /** Virtual time until which it does nothing, like a process that is stopped or starved. */
  pausedUntil = 0;
  /** Milliseconds by which its clock is ahead of virtual time. */
  skewMs = 0;
  readonly #onDeath: (() => void)[] = [];

  constructor(name: string, timeline: Timeline) {
    this.name = name;
    this.timeline = timeline;
    this.clock = new ProcessClock(this);
  }

  /** Calls back as soon as it dies. */
  onDeath(call: () => void): void {
    this.#onDeath.push(call);
  }

  kill(): void {
    if (!this.alive) return;
    this.alive = false;
    for (const call of this.#onDeath.splice(0)) call();
  }

  /** Starts code of this process in a step of its own. */
  spawn(work: () => Promise<void>): void {
    this.timeline.after(
      0,
      () => {
        work().catch((error: unknown) => this.timeline.crashes.push(error));
      },
      this,
    );
  }
}

/** The promise on which the code of a dead process waits. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}

class ProcessClock extends BaseClock {
  readonly #process: Process;

  constructor(process: Process) {
    super();
    this.#process = process;
  }

  now(): number {
    return Math.floor(this.#process.timeline.now + this.#process.skewMs);
  }

  after(ms: number, call: () => void): Timer {
    return this.#process.timeline.after(ms, call, this.#process);
  }
}
