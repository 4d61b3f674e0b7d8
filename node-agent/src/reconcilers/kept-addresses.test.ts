// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations, labels, podConditions } from '../../../crds/src/index.ts';
import { pods, type Pod } from '../../../kube/src/index.ts';
import type { Entry } from '../support/journal/journal.ts';
import { keptAddresses, placesOf } from './kept-addresses.ts';

interface Described {
  node: string;
  committed?: boolean;
  createdAt?: string;
  phase?: string;
  request?: string;
  annotations?: Record<string, string>;
}

const pod = (uid: string, o: Described): Pod =>
  pods.parse({
    metadata: {
      ...{ name: uid, uid, creationTimestamp: o.createdAt ?? '2026-01-01T00:00:00Z' },
      labels: { [labels.podIp]: 'kept' },
      annotations: {
        [annotations.requestUid]: o.request ?? `request-${uid}`,
        [annotations.podIp]: '10.88.1.5',
        ...o.annotations,
      },
    },
    spec: { nodeName: o.node },
    status: {
      phase: o.phase ?? 'Running',
      podIPs: [{ ip: '10.88.1.5' }],
      conditions: o.committed ? [{ type: podConditions.committed, status: 'True' }] : [],
    },
  });

const entry = (fields: Partial<Entry>): Entry =>
  ({ id: 'r', role: 'source', stage: 'Dumping', ...fields }) as Entry;

describe('the place of a kept address', () => {
  it('is none before the decision', () => {
    expect(placesOf([pod('a', { node: 'w2' })], [])).toEqual([]);
  });

  it.each(['source', 'target'] as const)(
    'is known to the %s before the operator says it',
    (role) => {
      const target = pod('a', { node: 'w2', request: 'r' });
      const known = entry({ role, decided: 'Committed' });
      expect(placesOf([target], [known])).toMatchObject([{ nodeName: 'w2' }]);
      expect(placesOf([target], [entry({ role, decided: 'Aborted' })])).toEqual([]);
      expect(placesOf([target], [entry({ role, id: 'other', decided: 'Committed' })])).toEqual([]);
    },
  );

  it('is that of the newer pod, while the former one is still there', () => {
    const former = pod('a', { node: 'w2', committed: true });
    const newer = pod('b', { node: 'w3', committed: true, createdAt: '2026-01-01T01:00:00Z' });
    const undecided = pod('b', { node: 'w3', createdAt: '2026-01-01T01:00:00Z' });
    expect(placesOf([former, newer], [])).toMatchObject([{ podUid: 'b', nodeName: 'w3' }]);
    expect(placesOf([former, undecided], [])).toMatchObject([{ podUid: 'a', nodeName: 'w2' }]);
  });

  it('is none for a pod that has ended', () => {
    const ended = pod('a', { node: 'w2', committed: true, phase: 'Succeeded' });
    expect(placesOf([ended], [])).toEqual([]);
    expect([...keptAddresses([ended], [])]).toEqual([]);
  });
});

describe('an address that only one of operator and kubelet says', () => {
  it('is not believed: a user changes annotations, a node changes a status or makes a mirror pod', () => {
    const o = { node: 'w2', committed: true };
    for (const annotation of [
      { [annotations.podIp]: '10.88.1.6' },
      { [annotations.podIp]: '' },
      { 'kubernetes.io/config.mirror': 'hash' },
    ]) {
      const forged = pod('a', { ...o, annotations: annotation });
      expect(placesOf([forged], [])).toEqual([]);
    }
  });
});

describe('an address', () => {
  it('is kept if only one of operator and kubelet says it, but never by a mirror pod', () => {
    const kept = (annotation: Record<string, string>, podIPs = ['10.88.1.5']) => {
      const one = pod('a', { node: 'w2', committed: true, annotations: annotation });
      const status = { ...one.status, podIPs: podIPs.map((ip) => ({ ip })) };
      return [...keptAddresses([{ ...one, status }], [])];
    };
    expect(kept({}, [])).toEqual(['10.88.1.5']);
    expect(kept({ [annotations.podIp]: '' })).toEqual(['10.88.1.5']);
    expect(kept({ [annotations.podIp]: '10.88.1.6' })).toEqual(['10.88.1.6', '10.88.1.5']);
    expect(kept({ 'kubernetes.io/config.mirror': 'hash' })).toEqual([]);
  });

  it('is kept for a target, and for a source as long as it may move', () => {
    expect([...keptAddresses([pod('a', { node: 'w2' })], [])]).toEqual(['10.88.1.5']);
    const addresses = ['10.88.1.9'];
    expect([...keptAddresses([], [entry({ addresses })])]).toEqual(addresses);
    expect([...keptAddresses([], [entry({ addresses, stage: 'Resumed' })])]).toEqual([]);
  });
});
