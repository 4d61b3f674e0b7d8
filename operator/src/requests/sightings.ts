// SPDX-License-Identifier: Apache-2.0
// For how long this process has seen something, by its own clock: the time at which another component says that it began is of
// that component's clock.
export class Sightings {
  readonly #since = new Map<string, { readonly what: string; readonly at: number }>();

  /**
   * @param what is seen now; undefined: nothing
   * @returns for how many milliseconds the same has been seen
   */
  elapsedMs(key: string, what: string | undefined, now: number): number {
    if (what === undefined) {
      this.#since.delete(key);
      return 0;
    }
    const known = this.#since.get(key);
    if (known?.what === what) return now - known.at;
    this.#since.set(key, { what, at: now });
    return 0;
  }

  forget(key: string): void {
    this.#since.delete(key);
  }
}
