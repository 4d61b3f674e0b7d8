// SPDX-License-Identifier: Apache-2.0
// How many migrations may be under way at a time, and which of those that wait goes next. Pure.
//   cluster  in the whole cluster
//   perNode  that leave a node, and that arrive at a node
// A policy may set lower ones for the pods that it selects: of these both count.
// A migration is under way from its acceptance to its end, but not while a landing pod waits for a node to go on to.
import {
  isGivenUp,
  isRestored,
  turnOf,
  type MoveLimitsOfPolicy,
  type MigrationRequestStatus,
  type QueueCause,
} from '../../../crds/src/index.ts';

export interface MoveLimits {
  readonly cluster: number;
  readonly perNode: number;
}

/** As KubeVirt's. */
export const defaultLimits: MoveLimits = { cluster: 5, perNode: 2 };

/** Limits that a policy sets; one that is absent is the chart's alone. */
export interface PolicyLimits {
  /** The policy's. */
  readonly name: string;
  readonly limits?: MoveLimitsOfPolicy | undefined;
  readonly queuePriority?: number | undefined;
}

export interface Move {
  readonly from: string;
  /** undefined: any node. */
  readonly to: string | undefined;
  /** Where `to` is not known yet: the nodes among which the scheduler chooses. Each keeps a place until it has. */
  readonly candidates?: readonly string[] | undefined;
  /** Memory that was found for it, on each of these nodes, and that it does not have yet. */
  readonly bytes?: number | undefined;
  /** The policy that applies to it. */
  readonly policy?: PolicyLimits | undefined;
}

type Going = Pick<MigrationRequestStatus, 'target' | 'triedNodes' | 'decision' | 'targetAgent'>;

/**
 * Where a move goes by its status. A target that was given up for other nodes goes nowhere, until they are named. One that is
 * restored, or that is not to be restored any more, takes no more memory than it has.
 */
export function toOf(status: Going): Pick<Move, 'to' | 'candidates' | 'bytes'> {
  const { target, decision, targetAgent } = status;
  const { nodeName: to, candidates, memory } = target ?? {};
  if (isGivenUp(status)) return { to: undefined };
  const isTaken = decision !== undefined || isRestored(targetAgent?.state);
  const bytes = isTaken ? undefined : memory?.bytes;
  return { to, candidates: to === undefined ? candidates : undefined, bytes };
}

/** Where a move may arrive. */
export const targetsOf = ({ to, candidates = [] }: Move): readonly string[] =>
  to === undefined ? candidates : [to];

export interface MoveCounts {
  readonly total: number;
  /** How many leave a node. */
  readonly out: ReadonlyMap<string, number>;
  /** How many arrive at a node. */
  readonly into: ReadonlyMap<string, number>;
  /** How many more the scheduler may still put on a node. */
  readonly undecided?: ReadonlyMap<string, number> | undefined;
}

export interface MovesUnderWay extends MoveCounts {
  /** Those that a policy applies to, by its name. */
  readonly policies?: ReadonlyMap<string, MoveCounts> | undefined;
}

/**
 * How many requests at the queue's head the operator looks at when places become free. A request that is farther behind
 * finds out when it is reconciled again.
 */
export const lookAhead = 500;

/** A request that waits for its turn. */
export interface WaitingMove extends Move {
  readonly key: string;
  readonly uid: string;
  readonly creationTimestamp: string;
  readonly priority: number;
  /** undefined: the operator has not looked at it yet and does not know which node its pod is on. */
  readonly waitsFor: QueueCause | undefined;
}

/**
 * How long a request waits for places that others keep and may not need: of a pod for which there is no room anywhere, they keep
 * them on each node that it could get. It then goes to the nodes that are left, if there are any.
 */
export const holdsMs = 15_000;

export interface MovesSeen {
  readonly limits: MoveLimits;
  readonly underWay: MovesUnderWay;
  /** The request's place in the queue; 1 comes first. */
  readonly position: number;
  /** The first of those that come before this one, `lookAhead` at most. */
  readonly older: readonly WaitingMove[];
  /** The request's, by which it has that place. Absent: 0. */
  readonly priority?: number | undefined;
  /** For how long the request has waited for a target node. */
  readonly stalledMs?: number | undefined;
}

export type Order = Pick<WaitingMove, 'creationTimestamp' | 'priority' | 'key'>;

/** The queue's order: by age and priority, then by namespace and name. */
export const compareMoves = (a: Order, b: Order): number =>
  turnOf(a) - turnOf(b) || (a.key < b.key ? -1 : Number(a.key > b.key));

/**
 * Whether a node takes no more pods for now; of a policy: no more of its pods. Those that the scheduler has not placed yet do
 * not count: whoever left out the nodes that they may get would be put on what is left of them, room or none. A new request
 * waits for them instead (`queueCause`).
 */
export function isFull(node: string, seen: MovesSeen, policy?: PolicyLimits): boolean {
  return reaches(node, seen, policy, arriving);
}

/** The same of a request that cannot wait. */
export function mayBeFull(node: string, seen: MovesSeen, policy?: PolicyLimits): boolean {
  return reaches(node, seen, policy, mayArrive);
}

type Count = (counts: MoveCounts | undefined, node: string) => number;
const arriving: Count = (counts, node) => counts?.into.get(node) ?? 0;
const mayArrive: Count = (counts, node) =>
  arriving(counts, node) + (counts?.undecided?.get(node) ?? 0);

function reaches(
  node: string,
  { limits, underWay }: MovesSeen,
  policy: PolicyLimits | undefined,
  count: Count,
): boolean {
  const own = policy && underWay.policies?.get(policy.name);
  const most = policy?.limits?.migrationsPerNode ?? Infinity;
  return count(underWay, node) >= limits.perNode || count(own, node) >= most;
}

/** @returns what a move has to wait for; undefined: it may start now */
export function queueCause(move: Move, seen: MovesSeen): QueueCause | undefined {
  const { limits, underWay, older } = seen;
  const limit = limitReached(move, underWay, limits);
  if (limit || older.length === 0) return limit;
  // A new request may be from the same node, and comes first if it is.
  const known = older.map((one) => (one.waitsFor ? one : { ...one, from: move.from }));
  const { claimed } = handOut(known, underWay, limits);
  return limitReached(move, claimed, limits) && 'OlderRequests';
}

/** Which of the requests that wait may start now, the first first. */
export function nextMoves(
  waiting: readonly WaitingMove[],
  underWay: MovesUnderWay,
  limits: MoveLimits,
): string[] {
  return handOut(waiting, underWay, limits).next;
}

function limitReached(
  move: Move,
  underWay: MovesUnderWay,
  limits: MoveLimits,
): Exclude<QueueCause, 'OlderRequests'> | undefined {
  const { policy } = move;
  const own = policy?.limits && underWay.policies?.get(policy.name);
  const { migrations = Infinity, migrationsPerNode = Infinity } = policy?.limits ?? {};
  const lower = { cluster: migrations, perNode: migrationsPerNode };
  return (
    countsReached(move, underWay, limits) ?? (own && countsReached(move, own, lower) && 'Policy')
  );
}

function countsReached(
  move: Move,
  counts: MoveCounts,
  { cluster, perNode }: MoveLimits,
): 'Cluster' | 'SourceNode' | 'TargetNode' | undefined {
  if (counts.total >= cluster) return 'Cluster';
  if ((counts.out.get(move.from) ?? 0) >= perNode) return 'SourceNode';
  return targetsOf(move).some((to) => mayArrive(counts, to) >= perNode) ? 'TargetNode' : undefined;
}

/** Counts of moves that can be added to. */
export class MoveTally implements MovesUnderWay {
  total = 0;
  readonly out = new Map<string, number>();
  readonly into = new Map<string, number>();
  readonly undecided = new Map<string, number>();
  /** Bytes that were found on a node for those that arrive, or may arrive. */
  readonly memory = new Map<string, number>();
  readonly policies = new Map<string, MoveTally>();

  /** Of what it decides on, memory is no part. */
  static of(counts: MovesUnderWay): MoveTally {
    const tally = new MoveTally();
    tally.total = counts.total;
    for (const [node, count] of counts.out) tally.out.set(node, count);
    for (const [node, count] of counts.into) tally.into.set(node, count);
    for (const [node, count] of counts.undecided ?? []) tally.undecided.set(node, count);
    for (const [name, own] of counts.policies ?? []) tally.policies.set(name, MoveTally.of(own));
    return tally;
  }

  add({ policy, ...move }: Move, by: 1 | -1): void {
    this.total += by;
    addTo(this.out, move.from, by);
    const arrivals = move.to === undefined ? this.undecided : this.into;
    for (const to of targetsOf(move)) {
      addTo(arrivals, to, by);
      if (move.bytes !== undefined) addTo(this.memory, to, by * move.bytes);
    }
    if (!policy) return;
    const own = this.policies.get(policy.name) ?? new MoveTally();
    this.policies.set(policy.name, own);
    own.add(move, by);
    if (own.total === 0) this.policies.delete(policy.name);
  }
}

function addTo(counts: Map<string, number>, node: string, by: number): void {
  const count = (counts.get(node) ?? 0) + by;
  if (count > 0) counts.set(node, count);
  else counts.delete(node);
}

/**
 * Hands out the free places in the queue's order. A request whose node is busy does not delay those behind it. One that
 * found every possible target busy takes no place from others, but is looked at again.
 */
function handOut(
  waiting: readonly WaitingMove[],
  underWay: MovesUnderWay,
  limits: MoveLimits,
): { next: string[]; claimed: MovesUnderWay } {
  const claimed = MoveTally.of(underWay);
  const next: string[] = [];
  for (const move of waiting) {
    if (claimed.total >= limits.cluster || next.length >= limits.cluster) break;
    if (limitReached(move, claimed, limits)) continue;
    next.push(move.key);
    const mayHaveNoTarget = move.waitsFor === 'TargetNode' || move.waitsFor === 'Policy';
    if (move.to === undefined && mayHaveNoTarget) continue;
    claimed.add(move, 1);
  }
  return { next, claimed };
}

/** For users: why a request waits, and what ends that. */
export function queueMessage(
  cause: QueueCause,
  { from, to, policy }: Move,
  { limits, underWay, position, priority = 0 }: MovesSeen,
): string {
  const by = priority === 0 ? '' : ` by its priority ${priority}`;
  const start = `The request waits at position ${position} of the queue${by}`;
  const end = 'It starts by itself; spec.cancel or deleting the request takes it out of the queue.';
  const busy = (count: number, limit: number, where: string): string =>
    `${start}: ${count} migrations are under way ${where}, the limit is ${limit}. ${end}`;
  switch (cause) {
    case 'Cluster':
      return busy(underWay.total, limits.cluster, 'in the cluster');
    case 'SourceNode':
      return busy(underWay.out.get(from) ?? 0, limits.perNode, `from node ${from}`);
    case 'TargetNode':
      return to === undefined
        ? `${start}: nodes that the pod could move to have ${limits.perNode} migrations under way, or may get them, which is the limit. ${end}`
        : busy(underWay.into.get(to) ?? 0, limits.perNode, `to node ${to}`);
    case 'Policy': {
      const { migrations, migrationsPerNode } = policy?.limits ?? {};
      const most = [
        ...(migrations === undefined ? [] : [`${migrations} in the cluster`]),
        ...(migrationsPerNode === undefined ? [] : [`${migrationsPerNode} from or to a node`]),
      ];
      return `${start}: MigrationPolicy ${policy?.name ?? ''} allows ${most.join(' and ')} at a time. ${end}`;
    }
    case 'OlderRequests':
      return `${start}: those before it, which are older or have a higher priority, come first. ${end}`;
  }
}

/** Farther than so many times the limit of the cluster from the queue's head. */
const farBehind = 4;

export const isFarBehind = ({ position, limits }: MovesSeen): boolean =>
  position > farBehind * limits.cluster;

const pollMs = 15_000;
const longestPollMs = 600_000;

/** When to look again, at the latest: the farther behind, the later, so that a long queue costs little. */
export function queuePollMs(position: number, { cluster }: MoveLimits): number {
  return Math.min(longestPollMs, pollMs * Math.ceil(position / cluster));
}
