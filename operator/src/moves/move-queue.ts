// SPDX-License-Identifier: Apache-2.0
// Which migrations are under way, and which wait, as the API objects say: an index that is built again from them after a
// restart. A look at it costs nothing that grows with the cluster.
import {
  isFinished,
  priorityOf,
  waitsForNode,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import { ApiError, keyOf, realClock, type Clock } from '../../../kube/src/index.ts';
import {
  compareMoves,
  defaultLimits,
  lookAhead,
  mayBeFull,
  MoveTally,
  nextMoves,
  queueCause,
  targetsOf,
  toOf,
  type Move,
  type MoveLimits,
  type MovesSeen,
  type Order,
  type PolicyLimits,
  type WaitingMove,
} from './limits.ts';

/** How long a request that the operator has not looked at yet delays those behind it. */
const newMs = 10_000;

interface Running extends Move {
  /** Accepted here, and not yet seen by the informer. */
  readonly isAssumed: boolean;
  /** The one of its candidates on which the scheduler makes room for it. */
  readonly nominated?: string | undefined;
}

/** As it counts: of candidates only that one. */
function countedOf({ nominated, candidates, ...move }: Running): Move {
  const isKnown = nominated !== undefined && candidates?.includes(nominated) === true;
  return { ...move, candidates: isKnown ? [nominated] : candidates };
}

/** Before the first look nobody knows which policy bounds what the request asks for: it may stand back, but pass no other. */
function knownPriority(request: MigrationRequest): number {
  const { queue, policy } = request.status ?? {};
  const priority = priorityOf(request);
  return queue || policy ? priority : Math.min(priority, 0);
}

export class MoveQueue {
  readonly limits: MoveLimits;
  readonly #running = new Map<string, Running>();
  readonly #counts = new MoveTally();
  /** In the queue's order. */
  readonly #waiting: WaitingMove[] = [];
  readonly #waitingOf = new Map<string, WaitingMove>();
  /** When requests that were not looked at yet were seen first, in milliseconds since the epoch. */
  readonly #newSince = new Map<string, number>();
  /** Since when requests have waited for a target node, by UID, in milliseconds since the epoch. */
  readonly #stalledSince = new Map<string, number>();
  readonly #clock: Clock;
  /** Resolves when the last acceptance that has begun is over. */
  #lastAcceptance: Promise<unknown> = Promise.resolve();
  #wake: ((key: string) => void) | undefined;

  constructor(limits: MoveLimits = defaultLimits, clock: Clock = realClock) {
    this.limits = limits;
    this.#clock = clock;
  }

  /**
   * From now on calls `wake` for each request whose turn may have come, and for those near the head whose position has
   * changed: a user reads it in the status.
   */
  open(wake: (key: string) => void): void {
    this.#wake = wake;
  }

  /** What an informer reports. */
  update(after: MigrationRequest | undefined, before: MigrationRequest | undefined): void {
    if (before && before.metadata.uid !== after?.metadata.uid) this.#forget(before.metadata.uid);
    if (!after || after.spec.dryRun) return;
    const { status, metadata } = after;
    if (isFinished(after) || this.#hasGivenUpItsPlace(after)) return this.#forget(metadata.uid);
    if (status?.source) {
      const { policy, source } = status;
      const move = { from: source.nodeName, ...toOf(status), policy, isAssumed: false };
      if (!this.#isBehind(after)) this.#run(metadata.uid, move);
      return;
    }
    // An older version than the one that was written here.
    if (this.#running.get(metadata.uid)?.isAssumed === true) return;
    const wait = status?.queue;
    if (wait) this.#newSince.delete(metadata.uid);
    else if (!this.#newSince.has(metadata.uid)) this.#newSince.set(metadata.uid, this.#clock.now());
    this.#wait({
      key: keyOf(after),
      uid: metadata.uid,
      creationTimestamp: metadata.creationTimestamp,
      priority: knownPriority(after),
      from: wait?.sourceNodeName ?? '',
      to: after.spec.targetNodeName,
      policy: status?.policy,
      waitsFor: wait?.waitsFor,
    });
  }

  /** Whether its landing pod waits for a node, and it was not given a place again just now. */
  #hasGivenUpItsPlace(request: MigrationRequest): boolean {
    return waitsForNode(request) && this.#running.get(request.metadata.uid)?.isAssumed !== true;
  }

  /**
   * What a request has to know to find out whether it is its turn. By the policy that applies now it may come after the place
   * that it has here: it does not wait for itself.
   * @param policy the one that applies to it; {}: none does; left out: that of its status
   */
  look(request: MigrationRequest, policy?: Pick<PolicyLimits, 'queuePriority'>): MovesSeen {
    const { creationTimestamp, uid } = request.metadata;
    const priority = priorityOf(request, policy);
    const order = { creationTimestamp, priority, key: keyOf(request) };
    const end = this.#placeOf(order);
    const own = this.#waitingOf.get(uid);
    const isCounted = own !== undefined && compareMoves(own, order) < 0;
    const older = this.#first(end).filter((one) => one.uid !== uid);
    const now = this.#clock.now();
    const stalledMs = now - (this.#stalledSince.get(uid) ?? now);
    const place = { position: isCounted ? end : end + 1, priority, older, stalledMs };
    return { limits: this.limits, underWay: this.#counts, ...place };
  }

  /** @param node where the scheduler makes room for the target of a move; '': nowhere */
  nominate(uid: string, node: string): void {
    const running = this.#running.get(uid);
    if (!running || (running.nominated ?? '') === node) return;
    this.#run(uid, { ...running, nominated: node === '' ? undefined : node });
    this.#wakeNext();
  }

  /** Bytes that were found on a node for other requests than this one. */
  takenOn(node: string, uid: string): number {
    const own = this.#running.get(uid);
    const isThere = own !== undefined && targetsOf(countedOf(own)).includes(node);
    return (this.#counts.memory.get(node) ?? 0) - (isThere ? (own.bytes ?? 0) : 0);
  }

  /** How many migrations arrive at a node. */
  get arriving(): ReadonlyMap<string, number> {
    return this.#counts.into;
  }

  /** The first of the queue. A new request that the operator could not look at in time delays no other. */
  #first(end: number): WaitingMove[] {
    const first = this.#waiting.slice(0, Math.min(end, lookAhead));
    if (this.#newSince.size === 0) return first;
    const since = this.#clock.now() - newMs;
    return first.filter(({ uid }) => (this.#newSince.get(uid) ?? Infinity) > since);
  }

  /**
   * Writes a status that accepts a request, one at a time: a place that was free when the request was observed may be
   * taken by now.
   * @throws ApiError `Conflict` when it is not the request's turn any more: the reconciler starts again
   */
  accept<T>(request: MigrationRequest, move: Move, write: () => Promise<T>): Promise<T> {
    const { uid, name } = request.metadata;
    return this.#acceptOne(() => {
      if (queueCause(move, this.look(request, move.policy ?? {}))) {
        throw new ApiError(409, 'Conflict', `it is no longer the turn of ${name}`);
      }
      return this.#assume(uid, move, write);
    });
  }

  /**
   * Writes a status that gives a request other nodes which is under way. It has its turn, and cannot wait for another one.
   * @throws ApiError `Conflict` when others may have got these nodes by now: the reconciler starts again
   */
  redirect<T>(request: MigrationRequest, move: Move, write: () => Promise<T>): Promise<T> {
    const { uid, name } = request.metadata;
    return this.#acceptOne(() => {
      const seen = this.look(request);
      const own = this.#running.get(uid);
      if (own) this.#counts.add(countedOf(own), -1);
      const isTaken = targetsOf(move).some((node) => mayBeFull(node, seen, move.policy));
      if (own) this.#counts.add(countedOf(own), 1);
      if (isTaken) throw new ApiError(409, 'Conflict', `other moves may get the nodes of ${name}`);
      return this.#assume(uid, move, write);
    });
  }

  /**
   * Writes a status that says how much memory was found for a request. Others leave it alone from then on.
   * @param hasRoom whether it is still there
   * @throws ApiError `Conflict` when others have found it meanwhile: the reconciler starts again
   */
  reserve<T>(
    request: MigrationRequest,
    move: Move,
    hasRoom: () => boolean,
    write: () => Promise<T>,
  ): Promise<T> {
    const { uid, name } = request.metadata;
    return this.#acceptOne(() => {
      if (hasRoom()) return this.#assume(uid, move, write);
      throw new ApiError(409, 'Conflict', `other moves have got the memory for ${name}`);
    });
  }

  /** Whether the version is older than the one that was written here: it has found no memory yet. */
  #isBehind({ metadata, status }: MigrationRequest): boolean {
    const own = this.#running.get(metadata.uid);
    const hasFound = status?.target?.memory !== undefined;
    return own?.isAssumed === true && own.bytes !== undefined && !hasFound;
  }

  /** Counts a move from now on as it is being written. */
  async #assume<T>(uid: string, move: Move, write: () => Promise<T>): Promise<T> {
    const before = this.#running.get(uid);
    this.#run(uid, { ...move, isAssumed: true });
    try {
      return await write();
    } catch (error) {
      if (this.#running.get(uid)?.isAssumed === true) {
        if (before) this.#run(uid, before);
        else this.#forget(uid);
      }
      throw error;
    }
  }

  /** Runs the work after all earlier acceptances, whether they failed or not. */
  #acceptOne<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#lastAcceptance.then(work);
    this.#lastAcceptance = result.catch(() => undefined);
    return result;
  }

  #run(uid: string, move: Running): void {
    this.#stopWaiting(uid);
    const before = this.#running.get(uid);
    if (before) this.#counts.add(countedOf(before), -1);
    const running = { nominated: before?.nominated, ...move };
    this.#running.set(uid, running);
    this.#counts.add(countedOf(running), 1);
    // The scheduler has chosen: the other nodes' places are free.
    if (before?.candidates && (move.to !== undefined || !move.candidates)) this.#wakeNext();
  }

  #wait(move: WaitingMove): void {
    const known = this.#waitingOf.get(move.uid);
    this.#waitingOf.set(move.uid, move);
    const isStalled = move.waitsFor === 'TargetNode' || move.waitsFor === 'Policy';
    if (!isStalled) this.#stalledSince.delete(move.uid);
    else if (!this.#stalledSince.has(move.uid)) {
      this.#stalledSince.set(move.uid, this.#clock.now());
    }
    if (known && compareMoves(known, move) === 0) {
      this.#waiting[this.#placeOf(known)] = move;
      return;
    }
    const left = known ? this.#placeOf(known) : Infinity;
    if (known) this.#waiting.splice(left, 1);
    const place = this.#placeOf(move);
    this.#waiting.splice(place, 0, move);
    // It has passed others, or others pass it.
    if (known || place < this.#waiting.length - 1) this.#wakeNext(Math.min(left, place));
  }

  #stopWaiting(uid: string): void {
    const known = this.#waitingOf.get(uid);
    if (!known) return;
    this.#waitingOf.delete(uid);
    this.#newSince.delete(uid);
    this.#stalledSince.delete(uid);
    const place = this.#placeOf(known);
    this.#waiting.splice(place, 1);
    this.#wakeNext(place);
  }

  #forget(uid: string): void {
    this.#stopWaiting(uid);
    const running = this.#running.get(uid);
    if (!running) return;
    this.#running.delete(uid);
    this.#counts.add(countedOf(running), -1);
    this.#wakeNext();
  }

  /** @param moved the first place that another request has now */
  #wakeNext(moved = Infinity): void {
    if (!this.#wake || this.#waiting.length === 0) return;
    const next = nextMoves(this.#first(Infinity), this.#counts, this.limits);
    const nearer = this.#waiting.slice(moved, this.limits.cluster).map(({ key }) => key);
    for (const key of new Set([...next, ...nearer])) this.#wake(key);
  }

  /** How many wait before it. */
  #placeOf(move: Order): number {
    let [low, high] = [0, this.#waiting.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      const other = this.#waiting[middle];
      if (other && compareMoves(other, move) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
