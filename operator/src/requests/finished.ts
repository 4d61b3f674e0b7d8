// SPDX-License-Identifier: Apache-2.0
// For how long a request has been finished, so that no two clocks are compared: `completionTime` is of the clock of the leader
// that wrote it. A process counts from when it first sees that the request has finished. It notes that in the status for its node,
// so that the next process there goes on: however often the operator starts anew, a request is kept for its time once per node.
import {
  isFinished,
  mostFinishedSeen,
  type CheckpointRequest,
  type FinishedSeen,
  type MigrationRequest,
  type RestoreRequest,
} from '../../../crds/src/index.ts';
import { timestamp } from '../../../kube/src/index.ts';

export interface Finished {
  /** By this process's clock, in milliseconds since the epoch. */
  readonly since: number;
  /** What the status is to say of it, if it does not say so yet. */
  readonly seen?: FinishedSeen[] | undefined;
}

/** When a request that is kept for that long is deleted. @returns milliseconds from now; 0 or less: its time is over */
export const remainingMs = (
  finished: Finished | undefined,
  ttlSeconds: number,
  now: number,
): number => (finished?.since ?? now) + ttlSeconds * 1000 - now;

export class FinishedTimes {
  /** By the request's UID: when this process has first seen it finished. */
  readonly #first = new Map<string, number>();
  readonly #nodeName: string | undefined;

  /** @param nodeName undefined: not known; then each process counts anew */
  constructor(nodeName?: string) {
    this.#nodeName = nodeName;
  }

  /** @returns undefined while the request is active */
  of(
    request: MigrationRequest | RestoreRequest | CheckpointRequest,
    now: number,
  ): Finished | undefined {
    if (!isFinished(request)) return undefined;
    const { uid } = request.metadata;
    const first = Math.min(this.#first.get(uid) ?? now, now);
    this.#first.set(uid, first);
    const nodeName = this.#nodeName;
    if (nodeName === undefined) return { since: first };
    const all = request.status?.finishedSeen ?? [];
    const written = Date.parse(all.find((one) => one.nodeName === nodeName)?.time ?? '');
    if (!Number.isNaN(written)) return { since: Math.min(written, first) };
    const others = all.filter((one) => one.nodeName !== nodeName);
    const own = { nodeName, time: timestamp(first) };
    return { since: first, seen: [...others, own].slice(-mostFinishedSeen) };
  }

  /** The request is deleted. */
  forget(uid: string): void {
    this.#first.delete(uid);
  }
}
