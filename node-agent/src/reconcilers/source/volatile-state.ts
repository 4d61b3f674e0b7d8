// SPDX-License-Identifier: Apache-2.0
// What a source's agent keeps of a request in memory alone; the journal has what must outlast the agent.
import {
  reportedMemory,
  type Fabric,
  type PodMemory,
  type SourceAgent,
} from '../../../../crds/src/index.ts';
import type { Failure } from '../../support/errors.ts';
import type { ManifestHeader } from '../../node/transfer/manifest.ts';

type Reported = Pick<
  SourceAgent,
  | 'bytes'
  | 'objects'
  | 'identity'
  | 'fabric'
  | 'checkpointDigest'
  | 'peerBudgetMs'
  | 'inspection'
  | 'memory'
  | 'bytesPerSecond'
  | 'lostConnections'
>;

interface Results extends Reported {
  /** The manifest's header, which a dump finds out and the transfer sends. */
  header?: ManifestHeader;
  /** The pod's, when the agent was about to lock it. */
  annotations?: Readonly<Record<string, string>>;
}

/** By request. A restarted agent has none: it reads what it reported from the status, and without a header dumps again. */
export class VolatileState {
  readonly #results = new Map<string, Results>();
  readonly #refusals = new Map<string, Failure>();
  readonly #missing = new Map<string, number>();

  get(uid: string): Results {
    return this.#results.get(uid) ?? {};
  }

  add(uid: string, more: Results): void {
    this.#results.set(uid, { ...this.get(uid), ...more });
  }

  /** The pod's addresses, as the agent has just read them. Those that it has reported stay until others than their times change. */
  addFabric(uid: string, fabric: Fabric): void {
    if (this.get(uid).fabric?.digest !== fabric.digest) this.add(uid, { fabric });
  }

  /**
   * How much memory the pod has now. What was reported stays as long as it is about right.
   * @param reported by an agent before this one, or by this one
   */
  addMemory(uid: string, now: PodMemory | undefined, reported: PodMemory | undefined): void {
    if (!now) return;
    this.add(uid, { memory: reportedMemory(now, this.get(uid).memory ?? reported) });
  }

  /** The pod runs no container. @returns for how long the agent has known that, in milliseconds of the clock that gives `now` */
  missing(uid: string, now: number): number {
    const since = this.#missing.get(uid) ?? now;
    this.#missing.set(uid, since);
    return now - since;
  }

  /** The pod runs. */
  found(uid: string): void {
    this.#missing.delete(uid);
  }

  /** Keeps a failure from before the agent has begun, or drops it. The journal has the later failures. */
  refuse(uid: string, failure: Failure | undefined): void {
    if (failure) this.#refusals.set(uid, failure);
    else this.#refusals.delete(uid);
  }

  refusal(uid: string): Failure | undefined {
    return this.#refusals.get(uid);
  }

  /** The request is deleted. */
  forget(uid: string): void {
    this.#results.delete(uid);
    this.#refusals.delete(uid);
    this.#missing.delete(uid);
  }
}
