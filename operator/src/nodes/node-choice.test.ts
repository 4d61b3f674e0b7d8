// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { mostCandidates } from '../../../crds/src/index.ts';
import type { Node } from '../../../kube/src/index.ts';
import { node, pod } from '../../testing/objects.ts';
import { chooseNode, chooseNodes, type NodeQuestion } from './node-choice.ts';

function choose(parts: Partial<NodeQuestion>): string {
  const nodes = [node('a'), node('b'), node('c')];
  const answer = chooseNode({ nodes, from: 'a', mayStay: false, load: new Map(), ...parts });
  return 'reason' in answer ? answer.reason : answer.metadata.name;
}

function tainted(name: string): Node {
  const one = node(name);
  const taints = [{ key: 'maintenance', value: '', effect: 'NoSchedule' }];
  return { ...one, spec: { ...one.spec, taints } };
}

describe('chooseNodes', () => {
  const names = (parts: Partial<NodeQuestion>): unknown => {
    const all = [node('a'), tainted('b'), node('c'), node('d'), node('e')];
    const scheduling = pod().spec;
    const question = { nodes: all, from: 'a', mayStay: false, load: new Map(), scheduling };
    const answer = chooseNodes({ ...question, ...parts });
    return 'reason' in answer ? answer.reason : answer.map(({ metadata }) => metadata.name);
  };
  const big = Array.from({ length: 300 }, (_, n) => node(`n${n}`));

  it.each<[string, Partial<NodeQuestion>, unknown]>([
    ['lets the scheduler choose among all that fit', {}, ['c', 'd', 'e']],
    ['leaves out those that were tried', { without: new Set(['d']) }, ['c', 'e']],
    ['leaves out those that take no more', { isBusy: (name) => name === 'c' }, ['d', 'e']],
    ['names one for all that take no more', { isBusy: () => true }, ['c']],
    ['takes the wanted one alone', { wanted: 'd', isBusy: () => true }, ['d']],
    ['names none where none fits', { without: new Set(['c', 'd', 'e']) }, 'NoCompatibleNode'],
  ])('%s', (_name, parts, wanted) => {
    expect(names(parts)).toEqual(wanted);
  });

  it('is bounded in a big cluster', () => {
    expect(names({ nodes: [node('a'), ...big] })).toHaveLength(mostCandidates);
  });
});

describe('chooseNode', () => {
  it.each<[string, string, Partial<NodeQuestion>]>([
    [
      'the node with the fewest pods',
      'c',
      {
        load: new Map([
          ['b', 2],
          ['c', 1],
        ]),
      },
    ],
    [
      'of equal nodes the first by name, not by order',
      'b',
      { nodes: [node('c'), node('b'), node('a')] },
    ],
    [
      'not the pod’s own node, however few pods it has',
      'b',
      {
        load: new Map([
          ['b', 9],
          ['c', 9],
        ]),
      },
    ],
    [
      'the pod’s own node, if it may stay',
      'a',
      {
        mayStay: true,
        load: new Map([
          ['b', 1],
          ['c', 1],
        ]),
      },
    ],
    ['the wanted node, however many pods it has', 'b', { wanted: 'b', load: new Map([['b', 9]]) }],
    [
      'no node that the pod may not be on',
      'c',
      { nodes: [node('a'), tainted('b'), node('c')], scheduling: pod().spec },
    ],
    [
      'refuses a wanted node that the pod may not be on',
      'NoCompatibleNode',
      { wanted: 'b', nodes: [node('a'), tainted('b')], scheduling: pod().spec },
    ],
    [
      'no node that lacks a CPU feature of the pod’s own',
      'c',
      {
        nodes: [
          node('a', { cpu: 'avx avx512f' }),
          node('b', { cpu: 'avx avx2' }),
          node('c', { cpu: 'avx avx2 avx512f' }),
        ],
      },
    ],
    [
      'no node whose CPU features are not known, if those of the pod’s own are',
      'NoCompatibleNode',
      { nodes: [node('a', { cpu: 'avx' }), node('b')] },
    ],
    [
      'any node for a pod on a node whose CPU features are not known',
      'b',
      { nodes: [node('a'), node('b', { cpu: 'avx' })] },
    ],
    [
      'refuses a wanted node that lacks a CPU feature',
      'NoCompatibleNode',
      { wanted: 'b', nodes: [node('a', { cpu: 'avx' }), node('b', { cpu: '' })] },
    ],
    [
      'not the node of the images, if its CPU was replaced by a lesser one',
      'b',
      {
        ...{ mayStay: true, cpuFeatures: 'avx' },
        nodes: [node('a', { cpu: 'sse2' }), node('b', { cpu: 'avx sse2' })],
        load: new Map([['b', 9]]),
      },
    ],
    [
      'no node that has fewer completion vectors than the pod’s own',
      'c',
      {
        nodes: [
          node('a', { vectors: '8' }),
          node('b', { vectors: '4' }),
          node('c', { vectors: '16' }),
        ],
      },
    ],
    [
      'refuses a wanted node that has fewer completion vectors',
      'NoCompatibleNode',
      { wanted: 'b', nodes: [node('a', { vectors: '8' }), node('b', { vectors: '4' })] },
    ],
    [
      'no node with other security modules, and one that does not say',
      'd',
      {
        nodes: [
          node('a', { modules: 'apparmor' }),
          node('b', { modules: 'none' }),
          node('c', { modules: 'apparmor,smack' }),
          node('d'),
        ],
      },
    ],
    [
      'refuses a wanted node without the security module of the pod’s own',
      'NoCompatibleNode',
      { wanted: 'b', nodes: [node('a', { modules: 'apparmor' }), node('b', { modules: 'none' })] },
    ],
    ['no busy node, if there is another', 'c', { isBusy: (name) => name === 'b' }],
    ['a busy node, if there is no other', 'b', { isBusy: () => true }],
    ['no cordoned node', 'c', { nodes: [node('a'), node('b', { cordoned: true }), node('c')] }],
    [
      'no node without an agent address',
      'c',
      { nodes: [node('a'), node('b', { address: null }), node('c')] },
    ],
    [
      'no node with another driver ABI',
      'c',
      { nodes: [node('a'), node('b', { abi: 'rxe-9' }), node('c')] },
    ],
    [
      'another node for a pod on a cordoned node',
      'b',
      { nodes: [node('a', { cordoned: true }), node('b')] },
    ],
    [
      'refuses a wanted node that is cordoned',
      'TargetNodeNotReady',
      { wanted: 'b', nodes: [node('a'), node('b', { cordoned: true })] },
    ],
    [
      'refuses a wanted node without an agent address',
      'TargetNodeNotReady',
      { wanted: 'b', nodes: [node('a'), node('b', { address: null })] },
    ],
  ])('%s', (_name, answer, parts) => {
    expect(choose(parts)).toBe(answer);
  });
});
