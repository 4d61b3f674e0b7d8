// SPDX-License-Identifier: Apache-2.0
// Wakes those who wait for a change of a request. The agent's informers call `wake`.
export class Wakes {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** Calls with every change of the request of that key. @returns ends it */
  on(key: string, call: () => void): () => void {
    const calls = this.#waiting.get(key) ?? new Set();
    this.#waiting.set(key, calls.add(call));
    return () => {
      calls.delete(call);
      if (calls.size === 0 && this.#waiting.get(key) === calls) this.#waiting.delete(key);
    };
  }

  /** `on`, for one request. */
  changesOf(key: string): (changed: () => void) => () => void {
    return (changed) => this.on(key, changed);
  }

  wake(key: string): void {
    for (const call of this.#waiting.get(key) ?? []) call();
  }
}
