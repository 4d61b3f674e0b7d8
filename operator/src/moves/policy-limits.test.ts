// SPDX-License-Identifier: Apache-2.0
// Limits that a policy sets beside the chart's.
import { describe, expect, it } from 'vitest';
import type { QueueCause } from '../../../crds/src/index.ts';
import { at, migration } from '../../testing/objects.ts';
import {
  isFull,
  MoveTally,
  nextMoves,
  queueCause,
  queueMessage,
  type Move,
  type WaitingMove,
} from './limits.ts';
import { MoveQueue } from './move-queue.ts';

const limits = { cluster: 10, perNode: 5 };
const one = { name: 'one', limits: { migrations: 1 } };
const perNode = { name: 'node', limits: { migrationsPerNode: 1 } };

/** `a>b one` is a migration from `a` to `b` under the policy `one`. */
function move(text: string): Move {
  const [way = '', name] = text.split(' ');
  const [from = '', to = ''] = way.split('>');
  const policy = [one, perNode, { name: 'free' }].find((each) => each.name === name);
  return { from, to: to === '' ? undefined : to, policy };
}
function underWay(moves: readonly string[]): MoveTally {
  const tally = new MoveTally();
  for (const each of moves) tally.add(move(each), 1);
  return tally;
}
const waiting = (moves: readonly string[]): WaitingMove[] =>
  moves.map((text, index) => ({
    ...move(text),
    ...{ key: String(index + 1), uid: `uid-${index}`, creationTimestamp: at(index), priority: 0 },
    waitsFor: 'Policy',
  }));

describe('a migration under a policy', () => {
  it.each<[string, string, string[], string[], QueueCause | undefined]>([
    ['starts as the first of it', 'a>b one', ['c>d', 'c>d free'], [], undefined],
    ['waits as the second of it', 'a>b one', ['c>d one'], [], 'Policy'],
    ['waits as the second of it from its node', 'a>b node', ['a>c node'], [], 'Policy'],
    ['waits as the second of it to its node', 'a>b node', ['c>b node'], [], 'Policy'],
    ['starts elsewhere', 'a>b node', ['c>d node'], [], undefined],
    ['starts beside one without limits', 'a>b free', ['a>b free', 'a>b one'], [], undefined],
    ['waits for an older one of it', 'a>b one', [], ['c>d one'], 'OlderRequests'],
    ['passes an older one that the policy keeps', 'a>b', ['c>d one'], ['a>b one'], undefined],
    [
      'waits for the chart’s limit too',
      'a>b one',
      Array.from({ length: 5 }, () => 'a>d'),
      [],
      'SourceNode',
    ],
  ])('%s', (_name, text, moves, older, wanted) => {
    const seen = { limits, underWay: underWay(moves), position: 1, older: waiting(older) };
    expect(queueCause(move(text), seen)).toBe(wanted);
  });

  it('leaves places to others', () => {
    const queue = waiting(['a>b one', 'c>d one', 'e>f']);
    expect(nextMoves(queue, underWay([]), limits)).toEqual(['1', '3']);
    expect(nextMoves(queue, underWay(['x>y one']), limits)).toEqual(['3']);
  });

  it('is not sent to a node that takes no more of it', () => {
    const seen = { limits, underWay: underWay(['a>b node']), position: 1, older: [] };
    expect([isFull('b', seen), isFull('b', seen, perNode), isFull('c', seen, perNode)]).toEqual([
      false,
      true,
      false,
    ]);
  });

  it('says what the policy allows', () => {
    const both = { name: 'p', limits: { migrations: 3, migrationsPerNode: 1 } };
    const seen = { limits, underWay: underWay([]), position: 2, older: [] };
    expect(queueMessage('Policy', { from: 'a', to: 'b', policy: both }, seen)).toMatch(
      /MigrationPolicy p allows 3 in the cluster and 1 from or to a node at a time\. It starts by itself/,
    );
  });
});

describe('the queue', () => {
  it('counts by the policy that the status names, until the end', () => {
    const queue = new MoveQueue(limits);
    const status = {
      policy: { name: 'one', generation: 1, limits: { migrations: 1 } },
      source: { nodeName: 'a' },
      target: { nodeName: 'b' },
    };
    const running = migration({ metadata: { name: 'r', uid: 'r' }, status });
    const other = migration({ metadata: { name: 'z', uid: 'z' } });
    queue.update(running, undefined);
    expect(queueCause(move('c>d one'), queue.look(other))).toBe('Policy');
    expect(queueCause(move('c>d'), queue.look(other))).toBeUndefined();
    queue.update(undefined, running);
    expect(queueCause(move('c>d one'), queue.look(other))).toBeUndefined();
    expect(queue.look(other).underWay.policies?.size).toBe(0);
  });
});
