// SPDX-License-Identifier: Apache-2.0
// Which addresses and which device a restored pod may have depends on every pod of the cluster. They are looked at when a pod is
// about to be created; while its creation fails again and again, not each time. Of several restores of one checkpoint only the
// first gets them: whoever has looked before it was created looks again.
import { ApiError, KeyedMutex } from '../../../kube/src/index.ts';
import type { Observed, PodIdentity } from './types.ts';

type Identity = Observed['identity'];

/** A pod that takes an address meanwhile is seen late. It may as well take it between a look and the creation. */
const identityMs = 10_000;

interface Known {
  readonly uid: string;
  readonly at: number;
  readonly identity: Identity;
}

const isShared = ({ networks, keepsDevice }: PodIdentity): boolean =>
  networks !== undefined || keepsDevice;

export class Identities {
  /** By namespace and name of the request. */
  readonly #known = new Map<string, Known>();
  /** Looked at before another restored pod may have got the same. */
  readonly #outdated = new WeakSet<Identity>();
  readonly #creations = new KeyedMutex();
  /** How often looks became outdated. */
  #round = 0;
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @param look reads every pod of the cluster */
  async of(key: string, uid: string, look: () => Promise<Identity>): Promise<Identity> {
    const known = this.#known.get(key);
    if (known?.uid === uid && this.#now() - known.at < identityMs) return known.identity;
    const round = this.#round;
    const identity = await look();
    if (round === this.#round) this.#known.set(key, { uid, at: this.#now(), identity });
    else this.#outdated.add(identity);
    return identity;
  }

  /**
   * Creates the pod that gets an identity; one such pod at a time.
   * @throws ApiError `Conflict` when another may have got the same since the look: the reconciler starts again
   */
  async give(key: string, identity: PodIdentity, create: () => Promise<void>): Promise<void> {
    if (!isShared(identity)) return create();
    await this.#creations.run('', async () => {
      if (this.#outdated.has(identity)) {
        throw new ApiError(409, 'Conflict', `another pod may have got what ${key} was to have`);
      }
      const own = this.#known.get(key);
      this.#known.delete(key);
      try {
        await create();
      } catch (error) {
        // The pod may be there even so: its own request sees that when it looks for the pod, others do not.
        this.#forgetAll();
        if (own) this.#known.set(key, own);
        throw error;
      }
      this.#forgetAll();
    });
  }

  /** The pod is there, or is not to be any more. */
  forget(key: string): void {
    this.#known.delete(key);
  }

  #forgetAll(): void {
    for (const { identity } of this.#known.values()) this.#outdated.add(identity);
    this.#known.clear();
    this.#round += 1;
  }
}
