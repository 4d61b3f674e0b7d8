// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations, labels } from '../../../crds/src/index.ts';
import type { Node } from '../../../kube/src/index.ts';
import { node, pod } from '../../testing/objects.ts';
import { targetPod, templateOf, type RawPod } from '../target-pod/manifest.ts';
import { keptAddresses, nodesKeeping } from './pod-address.ts';

const NETWORK = 'sealift/sealift-pods';
const keeping = (name: string): Node => {
  const plain = node(name);
  const own = { ...plain.metadata.annotations, [annotations.podNetwork]: NETWORK };
  return { ...plain, metadata: { ...plain.metadata, annotations: own } };
};
const [a, b] = [keeping('a'), keeping('b')];
const status = { podIPs: [{ ip: '10.88.1.5' }] };
const source = (own: Record<string, string> = {}) =>
  pod({ metadata: { annotations: own }, status });

describe('the addresses of a pod', () => {
  it('are kept where both nodes keep them', () => {
    expect(keptAddresses(source(), [a, b], b)).toEqual(status);
    expect(keptAddresses(source(), [node('a'), b], b)).toEqual({});
    expect(keptAddresses(source(), [a, node('b')], node('b'))).toEqual({});
    expect(keptAddresses(pod(), [a, b], b)).toEqual({});
  });

  it('are kept again, but not in a network that the user has chosen', () => {
    const own = (value: string) => source({ [annotations.defaultNetwork]: value });
    expect(keptAddresses(own(NETWORK), [a, b], b)).toEqual(status);
    expect(keptAddresses(own('team/other'), [a, b], b)).toEqual({});
  });
});

describe('nodes that were chosen to keep an address', () => {
  const other = keeping('o');
  other.metadata.annotations[annotations.podNetwork] = 'sealift/other';
  it.each<[string, string[], Node[], object | undefined]>([
    ['are all there still', ['b', 'a'], [a, b], { network: NETWORK, nodeNames: ['b', 'a'] }],
    ['have lost their first', ['x', 'a', 'b'], [a, b], { network: NETWORK, nodeNames: ['a', 'b'] }],
    ['have one without', ['c', 'b'], [node('c'), b], { network: NETWORK, nodeNames: ['b'] }],
    ['have one of another network', ['a', 'o'], [a, other], { network: NETWORK, nodeNames: ['a'] }],
    ['keep none any more', ['c', 'x'], [node('c'), b], undefined],
    ['are none', [], [a], undefined],
  ])('%s', (_what, names, nodes, expected) => {
    expect(nodesKeeping(nodes, names)).toEqual(expected);
  });
});

describe('the target of a pod', () => {
  const raw = (own: Record<string, string>, more: Record<string, string> = {}): RawPod => ({
    metadata: { ...{ name: 'p', namespace: 'default', uid: 'u' }, annotations: own, labels: more },
    spec: { containers: [] },
  });
  const target = (from: RawPod, network?: string) =>
    targetPod(templateOf(from), {
      ...{
        name: 'p-1',
        namespace: 'default',
        nodeNames: ['b'],
        requestUid: 'r',
        namespaceUid: 'n',
      },
      source: { name: 'a', hostname: 'a' },
      marker: { key: 'migration', value: 'default/r' },
      ...{ networks: undefined, fabricIps: [] },
      ...{ kept: network ? { network, addresses: ['10.88.1.5'] } : undefined },
    }) as { metadata: { labels: Record<string, string>; annotations: Record<string, string> } };

  it('asks for the network by which it keeps its address', () => {
    const { metadata } = target(raw({}), NETWORK);
    expect(metadata.annotations[annotations.defaultNetwork]).toBe(NETWORK);
    expect(metadata.labels[labels.podIp]).toBe('kept');
    expect(metadata.annotations[annotations.podIp]).toBe('10.88.1.5');
  });

  it('does not where it gets another one, also if its source did', () => {
    const own = { [annotations.defaultNetwork]: NETWORK, [annotations.podIp]: '10.88.1.5' };
    const moved = raw(own, { [labels.podIp]: 'kept' });
    const { metadata } = target(moved);
    expect(metadata.annotations[annotations.defaultNetwork]).toBeUndefined();
    expect(metadata.labels[labels.podIp]).toBeUndefined();
    expect(metadata.annotations[annotations.podIp]).toBeUndefined();
    expect(target(moved, NETWORK).metadata.labels[labels.podIp]).toBe('kept');
  });

  it('keeps the network that its user has chosen', () => {
    const { metadata } = target(raw({ [annotations.defaultNetwork]: 'team/other' }));
    expect(metadata.annotations[annotations.defaultNetwork]).toBe('team/other');
  });
});
