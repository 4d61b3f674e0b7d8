// SPDX-License-Identifier: Apache-2.0
// A mutex per key, within this process. It forgets a key that is not in use.

export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Runs the work after all earlier work of the key has ended, whether it failed or not. */
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
