// SPDX-License-Identifier: Apache-2.0
// Which migration may start, and what the others wait for.
import { describe, expect, it } from 'vitest';
import type { QueueCause } from '../../../crds/src/index.ts';
import { at } from '../../testing/objects.ts';
import { limitsFrom } from './limits-config.ts';
import {
  compareMoves,
  nextMoves,
  queueCause,
  queueMessage,
  queuePollMs,
  type Move,
  type MovesUnderWay,
  type WaitingMove,
} from './limits.ts';

const limits = { cluster: 5, perNode: 2 };

/** `a>b` is a migration from `a` to `b`; `a>` one to any node. */
function move(text: string): Move {
  const [from = '', to = ''] = text.split('>');
  return { from, to: to === '' ? undefined : to };
}
function underWay(moves: readonly string[]): MovesUnderWay {
  const [out, into] = [new Map<string, number>(), new Map<string, number>()];
  const add = (map: Map<string, number>, key: string): unknown =>
    map.set(key, (map.get(key) ?? 0) + 1);
  for (const { from, to } of moves.map(move)) {
    add(out, from);
    if (to !== undefined) add(into, to);
  }
  return { total: moves.length, out, into };
}
/** Waiting in this order, named 1, 2, 3 ...; `!` behind one: it has found every target busy. */
const waiting = (moves: readonly string[]): WaitingMove[] =>
  moves.map((text, index) => ({
    ...move(text.replace('!', '')),
    key: String(index + 1),
    uid: `uid-${index}`,
    creationTimestamp: at(index),
    priority: 0,
    waitsFor: text.endsWith('!') ? 'TargetNode' : 'Cluster',
  }));

describe('a migration', () => {
  it.each<[string, string, string[], string[], QueueCause | undefined]>([
    ['starts where nothing is under way', 'a>b', [], [], undefined],
    ['starts as the fifth', 'a>b', ['c>d', 'c>d', 'e>f', 'e>f'], [], undefined],
    ['waits as the sixth', 'a>b', ['c>d', 'c>d', 'e>f', 'e>f', 'g>h'], [], 'Cluster'],
    ['starts as the second from a node', 'a>b', ['a>c'], [], undefined],
    ['waits as the third from a node', 'a>b', ['a>c', 'a>d'], [], 'SourceNode'],
    ['waits as the third to a node', 'a>b', ['c>b', 'd>b'], [], 'TargetNode'],
    ['starts from a node that two move to', 'a>b', ['c>a', 'd>a'], [], undefined],
    ['waits for an older one from its node', 'a>b', ['a>c'], ['a>d'], 'OlderRequests'],
    ['waits for an older one to its node', 'a>b', ['c>b'], ['d>b'], 'OlderRequests'],
    [
      'waits for an older one for the last place',
      'a>b',
      ['c>d', 'c>d', 'e>f', 'e>f'],
      ['g>h'],
      'OlderRequests',
    ],
    ['passes older ones whose node is busy', 'a>b', ['c>d', 'c>e'], ['c>f', 'c>g'], undefined],
    ['passes one that has found every target busy', 'a>b', ['a>c'], ['a>!'], undefined],
  ])('%s', (_name, text, moves, older, wanted) => {
    const seen = { limits, underWay: underWay(moves), position: 1, older: waiting(older) };
    expect(queueCause(move(text), seen)).toBe(wanted);
  });
});

describe('free places', () => {
  it.each<[string, string[], string[], string[]]>([
    ['go to the oldest', ['x>y'], ['a>b', 'c>d', 'e>f', 'g>h', 'i>j'], ['1', '2', '3', '4']],
    ['are not kept for one whose node is busy', ['a>b', 'a>c'], ['a>d', 'e>f'], ['2']],
    ['count against those that get them', [], ['a>b', 'a>c', 'a>d', 'e>b', 'f>b'], ['1', '2', '4']],
    ['wake one whose targets were busy, beside the next', ['x>y'], ['a>!', 'a>b'], ['1', '2']],
    ['do not exist', ['a>b', 'a>b', 'c>d', 'c>d', 'e>f'], ['g>h'], []],
  ])('%s', (_name, moves, queue, wanted) => {
    expect(nextMoves(waiting(queue), underWay(moves), limits)).toEqual(wanted);
  });
});

describe('the queue', () => {
  it('is ordered by age, then by namespace and name', () => {
    const order = [
      { creationTimestamp: at(2), priority: 0, key: 'a/a' },
      { creationTimestamp: at(1), priority: 0, key: 'b/a' },
      { creationTimestamp: at(1), priority: 0, key: 'a/z' },
      { creationTimestamp: at(1), priority: 0, key: 'a/b' },
    ].sort(compareMoves);
    expect(order.map((one) => one.key)).toEqual(['a/b', 'a/z', 'b/a', 'a/a']);
  });

  it('lets a request with a higher priority pass those that are not as many minutes older', () => {
    const order = [
      { creationTimestamp: at(0), priority: 0, key: 'first' },
      { creationTimestamp: at(60), priority: 0, key: 'a minute later' },
      { creationTimestamp: at(599), priority: 10, key: 'urgent' },
      { creationTimestamp: at(661), priority: 10, key: 'urgent, but late' },
      { creationTimestamp: at(0), priority: -2, key: 'not urgent' },
    ].sort(compareMoves);
    expect(order.map((one) => one.key)).toEqual([
      ...['urgent', 'first', 'a minute later', 'urgent, but late', 'not urgent'],
    ]);
  });

  it('is looked at the less often the longer it is', () => {
    expect([1, 5, 6, 100, 1e6].map((position) => queuePollMs(position, limits) / 1000)).toEqual([
      15, 15, 30, 300, 600,
    ]);
  });

  it.each<[QueueCause, RegExp]>([
    ['Cluster', /position 3 .* 4 migrations are under way in the cluster, the limit is 5\. /],
    ['SourceNode', /2 migrations are under way from node a, the limit is 2\. /],
    ['TargetNode', /1 migrations are under way to node b, the limit is 2\. /],
    ['OlderRequests', /at position 3 of the queue: those before it, .* come first\. /],
  ])('says where a request stands and why: %s', (cause, text) => {
    const moves = underWay(['a>b', 'a>c', 'd>e', 'f>g']);
    const message = queueMessage(cause, move('a>b'), {
      ...{ limits, underWay: moves, position: 3, older: [] },
    });
    expect(message).toMatch(text);
    expect(message).toMatch(/It starts by itself; spec\.cancel .*\.$/);
  });

  it('names the priority that a request has', () => {
    const seen = { limits, underWay: underWay([]), position: 3, older: [], priority: -5 };
    expect(queueMessage('OlderRequests', move('a>b'), seen)).toMatch(
      /at position 3 of the queue by its priority -5: /,
    );
  });
});

describe('the chart’s limits', () => {
  it('have defaults', () => {
    expect(limitsFrom({})).toEqual(limits);
    const env = { SEALIFT_MAX_MIGRATIONS: '20', SEALIFT_MAX_MIGRATIONS_PER_NODE: '3' };
    expect(limitsFrom(env)).toEqual({ cluster: 20, perNode: 3 });
  });

  it.each(['0', '-1', '1.5', 'many'])('refuse %s by name', (value) => {
    expect(() => limitsFrom({ SEALIFT_MAX_MIGRATIONS: value })).toThrow(/SEALIFT_MAX_MIGRATIONS /);
  });
});
