// SPDX-License-Identifier: Apache-2.0
// Which addresses and which device a restored pod may have depends on every pod of the cluster. They are looked at when a pod is
// about to be created; while its creation fails again and again, not each time.
import type { Observed } from './types.ts';

type Identity = Observed['identity'];

/** A pod that takes an address meanwhile is seen late. It may as well take it between a look and the creation. */
export const identityMs = 10_000;

export class Identities {
  /** By namespace and name of the request. */
  readonly #known = new Map<string, { uid: string; at: number; identity: Identity }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param look reads every pod of the cluster */
  async of(key: string, uid: string, look: () => Promise<Identity>): Promise<Identity> {
    const known = this.#known.get(key);
    if (known?.uid === uid && this.#now() - known.at < identityMs) return known.identity;
    const identity = await look();
    this.#known.set(key, { uid, at: this.#now(), identity });
    return identity;
  }

  /** The pod is there, or is not to be any more. */
  forget(key: string): void {
    this.#known.delete(key);
  }
}
