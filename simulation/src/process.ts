// SPDX-License-Identifier: Apache-2.0
// A process of the simulated cluster. When it dies its code stops at its next wait and never goes on: no timer, no
// answer, no effect reaches it any more.
import { BaseClock, type Clock, type Timer } from '../../kube/src/index.ts';
import type { Timeline } from './timeline.ts';

export class Process {
  readonly name: string;
  readonly clock: Clock;
  readonly timeline: Timeline;
  alive = true;
  /** What its main loop ends by. Never while it lives; see World.end. */
  readonly stop = new AbortController();
  /** Until then it does nothing (a stopped or starved process), and then goes on with what it knew. */
  pausedUntil = 0;
  /** What its clock is ahead of the true time. */
  skewMs = 0;
  readonly #onDeath: (() => void)[] = [];

  constructor(name: string, timeline: Timeline) {
    this.name = name;
    this.timeline = timeline;
    this.clock = new ProcessClock(this);
  }

  /** Called at once when it dies. */
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

/** For whoever waits in a process that has died. */
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
