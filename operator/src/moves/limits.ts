// SPDX-License-Identifier: Apache-2.0
// How many migrations may be under way at a time, and which of those that wait goes next. Pure.
//   cluster  in the whole cluster
//   perNode  that leave a node, and that arrive at a node
// A migration is under way from its acceptance to its end.
import type { QueueCause } from '../../../crds/src/index.ts';

export interface MoveLimits {
  readonly cluster: number;
  readonly perNode: number;
}

/** As KubeVirt's. */
export const defaultLimits: MoveLimits = { cluster: 5, perNode: 2 };

export interface Move {
  readonly from: string;
  /** undefined: any node. */
  readonly to: string | undefined;
}

export interface MovesUnderWay {
  readonly total: number;
  /** How many leave a node. */
  readonly out: ReadonlyMap<string, number>;
  /** How many arrive at a node. */
  readonly into: ReadonlyMap<string, number>;
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
  /** undefined: the operator has not looked at it yet and does not know which node its pod is on. */
  readonly waitsFor: QueueCause | undefined;
}

export interface MovesSeen {
  readonly limits: MoveLimits;
  readonly underWay: MovesUnderWay;
  /** The request's place in the queue; 1 comes first. */
  readonly position: number;
  /** The first of those that come before this one, `lookAhead` at most. */
  readonly older: readonly WaitingMove[];
}

type Order = Pick<WaitingMove, 'creationTimestamp' | 'key'>;

/** The queue's order: by age, then by namespace and name. */
export function compareMoves(a: Order, b: Order): number {
  if (a.creationTimestamp !== b.creationTimestamp) {
    return a.creationTimestamp < b.creationTimestamp ? -1 : 1;
  }
  return a.key < b.key ? -1 : Number(a.key > b.key);
}

export const isFull = (node: string, { limits, underWay }: MovesSeen): boolean =>
  (underWay.into.get(node) ?? 0) >= limits.perNode;

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
  { from, to }: Move,
  { total, out, into }: MovesUnderWay,
  { cluster, perNode }: MoveLimits,
): QueueCause | undefined {
  if (total >= cluster) return 'Cluster';
  if ((out.get(from) ?? 0) >= perNode) return 'SourceNode';
  return to !== undefined && (into.get(to) ?? 0) >= perNode ? 'TargetNode' : undefined;
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
  const [out, into] = [new Map(underWay.out), new Map(underWay.into)];
  let { total } = underWay;
  const next: string[] = [];
  for (const move of waiting) {
    if (total >= limits.cluster || next.length >= limits.cluster) break;
    if (limitReached(move, { total, out, into }, limits)) continue;
    next.push(move.key);
    if (move.to === undefined && move.waitsFor === 'TargetNode') continue;
    total++;
    out.set(move.from, (out.get(move.from) ?? 0) + 1);
    if (move.to !== undefined) into.set(move.to, (into.get(move.to) ?? 0) + 1);
  }
  return { next, claimed: { total, out, into } };
}

/** For users: why a request waits, and what ends that. */
export function queueMessage(
  cause: QueueCause,
  { from, to }: Move,
  { limits, underWay, position }: MovesSeen,
): string {
  const start = `The request waits at position ${position} of the queue`;
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
        ? `${start}: every node that the pod could move to has ${limits.perNode} migrations under way, which is the limit. ${end}`
        : busy(underWay.into.get(to) ?? 0, limits.perNode, `to node ${to}`);
    case 'OlderRequests':
      return `${start}: older requests come first. ${end}`;
  }
}

const pollMs = 15_000;
const longestPollMs = 600_000;

/** When to look again, at the latest: the farther behind, the later, so that a long queue costs little. */
export function queuePollMs(position: number, { cluster }: MoveLimits): number {
  return Math.min(longestPollMs, pollMs * Math.ceil(position / cluster));
}
