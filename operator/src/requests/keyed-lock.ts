// SPDX-License-Identifier: Apache-2.0
// One at a time per key, within this process: the one that leads.

export class KeyedLock {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs the work when all earlier work of the key has ended, however it did. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = before.then(work);
    const tail = result.catch(() => undefined);
    this.#tails.set(key, tail);
    try {
      return await result;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}
