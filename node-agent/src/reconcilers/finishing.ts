// SPDX-License-Identifier: Apache-2.0
// An agent that is to end, for an update for instance, begins nothing for a further pod, and ends what it has begun: while no
// agent runs, nobody answers the probes of a locked pod (docs/adr/0011). An agent that is killed does neither, and the next one
// goes on where it was.
import type { Clock } from '../../../kube/src/index.ts';
import type { Entry, Journal } from '../support/journal/journal.ts';
import { isUnderWay, mayGoOn, type AnyRequest } from './in-progress.ts';

const LOOK_MS = 200;
/** Shorter than the grace period of the agent's pod. */
const FINISH_MS = 45_000;

/** What an agent does for one kind of request in one role. */
export interface Work {
  /** Undefined: it works on no pod. */
  readonly role: Entry['role'] | undefined;
  readonly requests: () => readonly AnyRequest[];
  /** How many of its reconcilers' runs have not ended. */
  readonly running: () => number;
}

export class Finishing {
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #work: Work[] = [];
  #isOn = false;

  constructor(journal: Journal, clock: Clock) {
    this.#journal = journal;
    this.#clock = clock;
  }

  add(work: Work): void {
    this.#work.push(work);
  }

  /** @param request undefined: it is deleted */
  mayRun(request: AnyRequest | undefined, role: Work['role']): boolean {
    if (!this.#isOn || request === undefined || role === undefined) return true;
    return mayGoOn(this.#journal, request, role);
  }

  /** @returns when everything that has begun is over and reported, at the latest after 45 s */
  async finish(): Promise<void> {
    this.#isOn = true;
    const end = this.#clock.now() + FINISH_MS;
    // Twice: between two runs, what has failed waits for its next attempt.
    for (let idle = 0; idle < 2 && this.#clock.now() < end; idle = this.#isIdle() ? idle + 1 : 0)
      await this.#clock.sleep(LOOK_MS);
  }

  #isIdle(): boolean {
    return this.#work.every(({ role, requests, running }) => {
      if (running() > 0) return false;
      return role === undefined || !requests().some((one) => isUnderWay(this.#journal, one, role));
    });
  }
}
