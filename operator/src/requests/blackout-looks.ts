// SPDX-License-Identifier: Apache-2.0
// When the operator looks at a request whose blackout has begun. Every look costs the API server requests, of which the
// agents' would have to wait, so that it looks only if its watches show something to do (docs/adr/0027).
import {
  isFinished,
  type MigrationRequest,
  type RestoreRequest,
  type SourceState,
  type TargetState,
} from '../../../crds/src/index.ts';
import { Sightings } from './sightings.ts';

type Handover = MigrationRequest | RestoreRequest;

/** What the operator would do, by what its watches have brought. */
interface Outlook {
  readonly effects: readonly { readonly type: string }[];
  readonly requeueAfterMs?: number | undefined;
}

/** For how long the operator trusts its watches in a blackout, and how old phases and conditions of a long one may be. */
export const BLACKOUT_LOOK_MS = 30_000;
/** How long after `Committed` the operator waits for a target that runs, before it looks. */
export const RESUME_LOOK_MS = 2_000;

/** On their way from the blackout deadline to the end. The operator acts on every other state. */
const sourceProgress: ReadonlySet<SourceState | undefined> = new Set([
  ...([undefined, 'Waiting', 'Holding', 'Dumping', 'Transferring', 'Sent'] as const),
]);
const targetProgress: ReadonlySet<TargetState | undefined> = new Set([
  ...(['AtCreateGate', 'Receiving', 'Restoring', 'AtResumeGate', 'Answering'] as const),
]);

/** Whether the agents are at work, with a blackout deadline, and none has failed or ended. Pure. */
export function isHandingOver(request: Handover): boolean {
  const { decision, deadlines, sourceAgent, targetAgent } = request.status ?? {};
  if (deadlines?.blackout === undefined || isFinished(request)) return false;
  if (decision?.outcome === 'Aborted' || !targetProgress.has(targetAgent?.state)) return false;
  const isStopped = decision !== undefined && sourceAgent?.state === 'Gone';
  return isStopped || sourceProgress.has(sourceAgent?.state);
}

/**
 * Whether what watches have brought is enough to act on: a decision never changes, and the effect may be repeated. For
 * all else the operator reads what is there now, for a plan without effects too: a target that a watch does not show may be
 * there, and its request must not end as lost. Pure.
 */
export function mayActByWatches({ status }: Handover, { effects }: Outlook): boolean {
  const isOnlyTraffic = effects.length > 0 && effects.every(({ type }) => type === 'AllowTraffic');
  return status?.decision !== undefined && isOnlyTraffic;
}

export class BlackoutLooks {
  /** When the operator last read a request from the API server, and did all that it planned, by the request's UID. */
  readonly #looked = new Map<string, number>();
  readonly #committed = new Sightings();
  /** When Services were allowed to select a request's target: the watch may not have brought it yet. */
  readonly #allowed = new Map<string, number>();
  /** When the operator last began to act by its watches. */
  readonly #acted = new Map<string, number>();

  /** Of a look that fails nothing is left: the next one must not wait. */
  looking({ metadata: { uid } }: Handover): void {
    this.#looked.delete(uid);
  }

  /** @param readAt absent: the operator has acted by its watches, which is no look */
  looked({ metadata: { uid } }: Handover, readAt: number | undefined): void {
    if (readAt !== undefined) this.#looked.set(uid, readAt);
  }

  /**
   * Whether the operator acts by what watches have brought, which this notes. Not twice within moments: a watch that is
   * behind would make each attempt conflict.
   */
  actsByWatches(request: Handover, outlook: Outlook, now: number): boolean {
    const { uid } = request.metadata;
    const isAgain = now - (this.#acted.get(uid) ?? -Infinity) < RESUME_LOOK_MS;
    if (isAgain || !mayActByWatches(request, outlook)) return false;
    this.#acted.set(uid, now);
    return true;
  }

  allowed({ metadata: { uid } }: Handover, now: number): void {
    this.#allowed.set(uid, now);
  }

  /**
   * @param request one that is being handed over, as a watch has brought it
   * @returns in how many milliseconds the operator has to look, if nothing changes; undefined: now
   */
  idleMs(request: Handover, outlook: Outlook, now: number): number | undefined {
    const { uid } = request.metadata;
    const isDecided = request.status?.decision !== undefined;
    const what = isDecided ? 'Committed' : undefined;
    const committedMs = this.#committed.elapsedMs(uid, what, now);
    if (isDecided) {
      // Services must be able to select the target from now on.
      const isWanted = outlook.effects.some(({ type }) => type === 'AllowTraffic');
      const allowedMs = now - (this.#allowed.get(uid) ?? -Infinity);
      if (isWanted && allowedMs >= RESUME_LOOK_MS) return undefined;
      return committedMs < RESUME_LOOK_MS ? RESUME_LOOK_MS - committedMs : undefined;
    }
    const lookedAt = this.#looked.get(uid);
    if (outlook.effects.length > 0 || lookedAt === undefined) return undefined;
    const leftMs = lookedAt + BLACKOUT_LOOK_MS - now;
    return leftMs > 0 ? Math.min(leftMs, outlook.requeueAfterMs ?? leftMs) : undefined;
  }

  forget(uid: string): void {
    this.#looked.delete(uid);
    this.#committed.forget(uid);
    this.#allowed.delete(uid);
    this.#acted.delete(uid);
  }
}
