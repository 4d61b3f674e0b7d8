// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { node } from '../../testing/objects.ts';
import { chooseNode, type NodeQuestion } from './node-choice.ts';

function choose(parts: Partial<NodeQuestion>): string {
  const nodes = [node('a'), node('b'), node('c')];
  const answer = chooseNode({ nodes, from: 'a', mayStay: false, load: new Map(), ...parts });
  return 'reason' in answer ? answer.reason : answer.metadata.name;
}

describe('chooseNode', () => {
  it.each<[string, string, Partial<NodeQuestion>]>([
    [
      'the emptiest',
      'c',
      {
        load: new Map([
          ['b', 2],
          ['c', 1],
        ]),
      },
    ],
    [
      'of equals the first by name, not by order',
      'b',
      { nodes: [node('c'), node('b'), node('a')] },
    ],
    [
      'not the pod’s own, however empty',
      'b',
      {
        load: new Map([
          ['b', 9],
          ['c', 9],
        ]),
      },
    ],
    [
      'its own, if it may',
      'a',
      {
        mayStay: true,
        load: new Map([
          ['b', 1],
          ['c', 1],
        ]),
      },
    ],
    ['the wanted one, however full', 'b', { wanted: 'b', load: new Map([['b', 9]]) }],
    [
      'none that is cordoned',
      'c',
      { nodes: [node('a'), node('b', { cordoned: true }), node('c')] },
    ],
    [
      'none without an address',
      'c',
      { nodes: [node('a'), node('b', { address: null }), node('c')] },
    ],
    ['none of another ABI', 'c', { nodes: [node('a'), node('b', { abi: 'rxe-9' }), node('c')] }],
    ['from a cordoned node', 'b', { nodes: [node('a', { cordoned: true }), node('b')] }],
    [
      'a cordoned one is refused',
      'TargetNodeNotReady',
      { wanted: 'b', nodes: [node('a'), node('b', { cordoned: true })] },
    ],
    [
      'one without an address is refused',
      'TargetNodeNotReady',
      { wanted: 'b', nodes: [node('a'), node('b', { address: null })] },
    ],
  ])('%s', (_name, answer, parts) => {
    expect(choose(parts)).toBe(answer);
  });
});
