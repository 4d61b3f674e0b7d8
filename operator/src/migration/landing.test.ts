// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { Node } from '../../../kube/src/index.ts';
import { node } from '../../testing/objects.ts';
import type { NodeQuestion } from '../nodes/node-choice.ts';
import { chooseEnd, chooseLanding } from './landing.ts';

const sized = (name: string, vectors: string, cpu?: string): Node =>
  node(name, { vectors, ...(cpu !== undefined && { cpu }) });

describe('a landing pod', () => {
  const names = (nodes: readonly Node[], parts: Partial<NodeQuestion> = {}): unknown => {
    const answer = chooseLanding({
      ...{ nodes, from: 'a', mayStay: false, load: new Map() },
      ...parts,
    });
    if ('reason' in answer) return answer.reason;
    const { landings, end } = answer;
    return [landings.map((one) => one.metadata.name), end.metadata.name];
  };
  const small = [sized('a', '8'), sized('b', '8')];

  it.each<[string, readonly Node[], Partial<NodeQuestion>, unknown]>([
    ['has a node that it can leave again', [...small, sized('c', '8')], {}, [['c'], 'b']],
    ['goes by the smaller node to the bigger one', [...small, sized('c', '64')], {}, [['b'], 'c']],
    [
      'does not go to a node with features that the end lacks',
      [sized('a', '8', 'sse'), sized('b', '8', 'sse'), sized('c', '8', 'sse avx')],
      {},
      [['b'], 'c'],
    ],
    [
      'is not made if each of the others has what the next one lacks',
      [sized('a', '8', 'sse'), sized('b', '16', 'sse'), sized('c', '8', 'sse avx')],
      {},
      'NoLandingNode',
    ],
    [
      'leaves out the nodes that it could not leave',
      [...small, sized('c', '64'), sized('d', '8')],
      {},
      [['d'], 'b'],
    ],
    [
      'is on the node that the user names if no other one can be left for that',
      [...small, sized('c', '64')],
      { wanted: 'b' },
      [['b'], 'b'],
    ],
    ['is where it ends if there are two nodes', small, {}, [['b'], 'b']],
    ['is so on the node that the user names', small, { wanted: 'b' }, [['b'], 'b']],
    [
      'is not made on the other one of two nodes if it could not come back from there',
      [sized('a', '8'), sized('b', '64')],
      {},
      'NoLandingNode',
    ],
    [
      'is made on the other one of two nodes while its own takes no pods',
      [node('a', { cordoned: true, vectors: '8' }), sized('b', '8')],
      {},
      [['b'], 'b'],
    ],
    [
      'is not made where it ends if a further node lacks only the memory',
      [...small, sized('c', '8')],
      { lacksMemory: ({ metadata }) => (metadata.name === 'c' ? 'has little' : undefined) },
      'NoLandingNode',
    ],
    [
      'is where it ends if the further node that lacks the memory would not do anyway',
      [...small, node('c', { cordoned: true, vectors: '8' })],
      { lacksMemory: ({ metadata }) => (metadata.name === 'c' ? 'has little' : undefined) },
      [['b'], 'b'],
    ],
    ['is not made where there is no other node', small.slice(0, 1), {}, 'NoCompatibleNode'],
    [
      'could not come back to the pod’s own node from the bigger one',
      [sized('a', '8'), sized('b', '64'), sized('c', '64')],
      { wanted: 'a' },
      'NoLandingNode',
    ],
    [
      'ends on a node that takes no more for now, if only from there to there it can go',
      [...small, sized('c', '64')],
      { isBusy: (name) => name === 'c' },
      [['b'], 'c'],
    ],
  ])('%s', (_what, nodes, parts, expected) => {
    expect(names(nodes, parts)).toEqual(expected);
  });

  it('always finds an end from where it lands', () => {
    const sizes = ['8', '16', '64'];
    const features = ['sse', 'sse avx', 'sse avx amx'];
    let landings = 0;
    for (let n = 0; n < 3 ** 6; n++) {
      const digit = (place: number): number => Math.floor(n / 3 ** place) % 3;
      const nodes = ['b', 'c', 'd'].map((name, i) =>
        sized(name, sizes[digit(i)] ?? '', features[digit(i + 3)]),
      );
      const all = [sized('a', '8', 'sse'), ...nodes];
      const question = { nodes: all, from: 'a', mayStay: false, load: new Map() };
      const chosen = chooseLanding(question);
      if ('reason' in chosen) continue;
      for (const { metadata } of chosen.landings) {
        landings++;
        expect(chooseEnd({ ...question, from: metadata.name }, 'a')).toHaveProperty('metadata');
      }
    }
    expect(landings).toBeGreaterThan(500);
  });
});
