// SPDX-License-Identifier: Apache-2.0
// Runs a keeper of addresses whenever a pod that concerns it or the journal changes, and from time to time. All addresses
// are looked at together.
import {
  Controller,
  Informer,
  pods,
  type Api,
  type Clock,
  type Logger,
  type Pod,
} from '../../../kube/src/index.ts';
import type { Journal } from '../support/journal/journal.ts';

/** The controller's only key. */
const ALL = 'all';

export interface AddressWatchParts {
  api: Api;
  clock: Clock;
  log: Logger;
  journal: Journal;
  /** Of the controller. */
  name: string;
  /** Of the pods that concern the keeper. */
  labelSelector: string;
  backoff: { baseMs: number; maxMs: number };
  /** @returns after how many milliseconds it is to look again, if nothing changes */
  reconcile(signal: AbortSignal): Promise<number>;
}

export class AddressWatch {
  readonly pods: Informer<Pod>;
  readonly #controller: Controller;

  constructor(parts: AddressWatchParts) {
    const { api, log, clock, journal, name, labelSelector, backoff } = parts;
    this.pods = new Informer({ api, resource: pods, log, clock, selection: { labelSelector } });
    this.#controller = new Controller({
      name,
      reconcile: async (_key, { signal }) => ({ requeueAfterMs: await parts.reconcile(signal) }),
      ...{ log, clock, concurrency: 1, backoff },
    });
    const changed = (): void => this.changed();
    this.pods.listen(changed);
    journal.listen(changed);
  }

  /** Something else has changed. */
  changed(): void {
    this.#controller.enqueue(ALL);
  }

  /** Runs until the signal aborts. Nothing is done before the pods are known. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.race([
      this.pods.synced,
      new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true })),
    ]);
    this.changed();
    await this.#controller.run(signal);
  }
}
