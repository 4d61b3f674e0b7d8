// SPDX-License-Identifier: Apache-2.0
/** Looks at the cluster again and again beside a case, until it is stopped. */
export class Looks {
  #isStopped = false;
  readonly #looking: Promise<void>;

  constructor(look: () => Promise<void>) {
    this.#looking = this.#repeat(look);
  }

  async #repeat(look: () => Promise<void>): Promise<void> {
    while (!this.#isStopped) await look();
  }

  /** Resolves after the last look. @throws what a look has thrown */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#looking;
  }
}
