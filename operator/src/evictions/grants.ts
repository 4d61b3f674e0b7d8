// SPDX-License-Identifier: Apache-2.0
// Plain evictions that were let through a moment ago. Until the API server has taken one from its budget, the budget's status
// does not show it, and whoever asks at the same time would see room for two (docs/adr/0022).
import type { Pod } from '../../../kube/src/index.ts';

/** The API server takes milliseconds, as a rule; this is how long it waits for other webhooks that have no limit of their own. */
const pendingMs = 10_000;
/**
 * An eviction that somebody else refuses each time is asked for every few seconds, and never takes anything. For this long it
 * does not count again: else it would keep the other pods of its budget where they are.
 */
const quietMs = 60_000;

export class Grants {
  readonly #now: () => number;
  /** By the pod's UID. */
  readonly #granted = new Map<string, { readonly pod: Pod; readonly at: number }>();

  /** @param now milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The eviction of this pod is let through. */
  add(pod: Pod): void {
    const now = this.#now();
    for (const [uid, { at }] of this.#granted) if (now - at >= quietMs) this.#granted.delete(uid);
    const { uid } = pod.metadata;
    if (!this.#granted.has(uid)) this.#granted.set(uid, { pod, at: now });
  }

  /** Pods of a namespace whose eviction the API server may not have taken from their budget yet. */
  pending(namespace: string): Pod[] {
    const now = this.#now();
    return [...this.#granted.values()]
      .filter(({ pod, at }) => pod.metadata.namespace === namespace && now - at < pendingMs)
      .map(({ pod }) => pod);
  }
}
