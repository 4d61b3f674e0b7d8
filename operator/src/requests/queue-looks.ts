// SPDX-License-Identifier: Apache-2.0
// When the operator looks at a request that waits in the queue. Each status that it writes there comes back by the watch, and
// would cost two more reads: with 500 requests that wait, more than all moves under way together.
import { isDeepStrictEqual } from 'node:util';
import { isFinished, type MigrationRequest } from '../../../crds/src/index.ts';
import { queueCause, queuePollMs, type MovesSeen } from '../moves/limits.ts';

interface Look {
  /** By the operator's own clock, in milliseconds since the epoch. */
  readonly at: number;
  readonly spec: MigrationRequest['spec'];
}

export class QueueLooks {
  /** By the request's UID. */
  readonly #looks = new Map<string, Look>();

  /** The operator has read the request and its pod, and has done what it planned. */
  looked({ metadata: { uid }, spec }: MigrationRequest, at: number): void {
    this.#looks.set(uid, { at, spec });
  }

  /**
   * @param request as a watch has brought it
   * @param seen what the queue says of it now
   * @returns in how many milliseconds the operator has to look, if nothing changes; undefined: now
   */
  idleMs(request: MigrationRequest, seen: MovesSeen, now: number): number | undefined {
    const { metadata, spec, status } = request;
    const look = this.#looks.get(metadata.uid);
    const queue = status?.queue;
    if (!look || !queue || status.source || isFinished(request)) return undefined;
    if (metadata.deletionTimestamp !== undefined || !isDeepStrictEqual(look.spec, spec)) {
      return undefined;
    }
    const move = { from: queue.sourceNodeName, to: spec.targetNodeName, policy: status.policy };
    const isTheSame = seen.position === queue.position && queueCause(move, seen) === queue.waitsFor;
    const leftMs = look.at + queuePollMs(seen.position, seen.limits) - now;
    return isTheSame && leftMs > 0 ? leftMs : undefined;
  }

  forget(uid: string): void {
    this.#looks.delete(uid);
  }
}
