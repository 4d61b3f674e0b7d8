// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { labels } from '../../crds/src/index.ts';
import { Node, Pod } from '../../kube/src/index.ts';
import { lacksLanding } from './landing.ts';

const set = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'db', uid: 'u', controller: true };
const pod = (owner: object | null = set): Pod =>
  Pod.parse({
    metadata: {
      ...{ name: 'db-0', namespace: 'default', uid: 'pod-uid', resourceVersion: '1' },
      ownerReferences: owner ? [owner] : [],
    },
    spec: { nodeName: 'a', containers: [{ name: 'main', image: 'x' }] },
    status: { phase: 'Running' },
  });
const node = (name: string, more: { abi?: string; cordoned?: true; ready?: false } = {}): Node =>
  Node.parse({
    metadata: { name, uid: name, labels: { [labels.driverAbi]: more.abi ?? 'rxe-5' } },
    spec: { unschedulable: more.cordoned },
    status: { conditions: [{ type: 'Ready', status: more.ready === false ? 'False' : 'True' }] },
  });
const nodesOf = (...names: string[]): Node[] => names.map((name) => node(name));

describe('a pod of a StatefulSet', () => {
  it.each<[string, Node[], string | undefined, RegExp | undefined]>([
    ['moves with three nodes', nodesOf('a', 'b', 'c'), undefined, undefined],
    ['moves to a node that is named', nodesOf('a', 'b', 'c'), 'b', undefined],
    ['comes back with two', nodesOf('a', 'b'), 'a', undefined],
    ['needs a third node', nodesOf('a', 'b'), undefined, /there is only b\. .*--to a\. Else add/],
    ['needs one besides that', nodesOf('a', 'b'), 'b', /Besides its node a and b,.*--to a/],
    ['needs one to come back from', nodesOf('a'), 'a', /there is none\. Else add a node/],
    [
      'lands on no cordoned node, none that is not Ready, and none of another driver',
      [
        ...nodesOf('a', 'b'),
        ...[
          node('c', { cordoned: true }),
          node('d', { ready: false }),
          node('e', { abi: 'rxe-4' }),
        ],
      ],
      undefined,
      /there is only b/,
    ],
  ])('%s', (_what, all, to, why) => {
    const found = lacksLanding(pod(), all, to);
    if (why === undefined) expect(found).toBeUndefined();
    else expect(found).toMatch(why);
  });

  it('is the operator’s to refuse where nothing is known of its node', () => {
    expect(lacksLanding(pod(), [], undefined)).toBeUndefined();
    const other = { ...set, apiVersion: 'example.com/v1' };
    expect(lacksLanding(pod(other), nodesOf('a'), undefined)).toBeUndefined();
    expect(lacksLanding(pod(null), nodesOf('a'), undefined)).toBeUndefined();
  });
});
