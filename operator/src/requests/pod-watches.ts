// SPDX-License-Identifier: Apache-2.0
// Watches the pods of requests under way, each by its name. Their number is that of the requests, whatever runs beside
// them in the cluster.
import {
  Informer,
  pods,
  splitKey,
  type Api,
  type Clock,
  type Logger,
  type Pod,
} from '../../../kube/src/index.ts';

interface Parts {
  readonly api: Api;
  readonly log: Logger;
  readonly clock: Clock;
  /** Ends all watches. */
  readonly signal: AbortSignal;
}

interface Watch {
  readonly informer: Informer<Pod>;
  readonly stop: AbortController;
}

export class PodWatches {
  readonly #parts: Parts;
  /** By follower and pod. */
  readonly #watches = new Map<string, Map<string, Watch>>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /**
   * From now on `changed` is called with every change of these pods and of no others.
   * @param wanted `<namespace>/<pod>`; empty: the follower is done
   */
  follow(follower: string, wanted: readonly string[], changed: () => void): void {
    const watches = this.#watches.get(follower) ?? new Map<string, Watch>();
    for (const [pod, { stop }] of watches) {
      if (wanted.includes(pod)) continue;
      stop.abort();
      watches.delete(pod);
    }
    for (const pod of wanted) {
      if (!watches.has(pod)) watches.set(pod, this.#watch(pod, changed));
    }
    if (watches.size > 0) this.#watches.set(follower, watches);
    else this.#watches.delete(follower);
  }

  /** A pod that somebody follows, as its watch has brought it. @param key `<namespace>/<pod>` */
  get(key: string): Pod | undefined {
    for (const watches of this.#watches.values()) {
      const found = watches.get(key)?.informer.get(key);
      if (found) return found;
    }
    return undefined;
  }

  #watch(pod: string, changed: () => void): Watch {
    const { api, log, clock, signal } = this.#parts;
    const { namespace, name } = splitKey(pod);
    const selection = { namespace, fieldSelector: `metadata.name=${name}` };
    const informer = new Informer({ api, resource: pods, log, clock, selection });
    informer.listen(changed);
    const stop = new AbortController();
    void informer.run(AbortSignal.any([signal, stop.signal]));
    return { informer, stop };
  }
}
