// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { Node } from '../../../kube/src/index.ts';
import { pod } from '../../testing/objects.ts';
import { unfit } from './fitness.ts';

const node = Node.parse({
  metadata: { name: 'b', labels: { zone: 'z1', cores: '8', 'kubernetes.io/hostname': 'b' } },
  spec: {
    taints: [
      { key: 'gpu', value: 'yes', effect: 'NoSchedule' },
      { key: 'old', effect: 'PreferNoSchedule' },
    ],
  },
});
const gpu = { key: 'gpu', operator: 'Exists' };
const needs = (...matchExpressions: object[]): object => ({
  tolerations: [gpu],
  affinity: {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions }] },
    },
  },
});
const unmatched = /required node affinity/;

describe('a node', () => {
  it.each<[string, object, RegExp | undefined]>([
    ['has a taint', {}, /has taint gpu:NoSchedule/],
    ['has a taint that is tolerated by its key', { tolerations: [gpu] }, undefined],
    [
      'has a taint that is tolerated by its value',
      { tolerations: [{ key: 'gpu', value: 'yes' }] },
      undefined,
    ],
    [
      'has a taint of another value',
      { tolerations: [{ key: 'gpu', value: 'no' }] },
      /has taint gpu/,
    ],
    [
      'has a taint of another effect',
      { tolerations: [{ ...gpu, effect: 'NoExecute' }] },
      /has taint gpu/,
    ],
    ['has a taint, and all are tolerated', { tolerations: [{ operator: 'Exists' }] }, undefined],
    ['is selected', { tolerations: [gpu], nodeSelector: { zone: 'z1' } }, undefined],
    [
      'is not selected',
      { tolerations: [gpu], nodeSelector: { zone: 'z2' } },
      /lacks the label zone=z2/,
    ],
    [
      'is another than the host that the pod is pinned to',
      { tolerations: [gpu], nodeSelector: { 'kubernetes.io/hostname': 'a' } },
      undefined,
    ],
    ['matches', needs({ key: 'zone', operator: 'In', values: ['z1', 'z3'] }), undefined],
    ['does not match', needs({ key: 'zone', operator: 'NotIn', values: ['z1'] }), unmatched],
    ['has no such label', needs({ key: 'ssd', operator: 'Exists' }), unmatched],
    ['has enough', needs({ key: 'cores', operator: 'Gt', values: ['4'] }), undefined],
    ['has too little', needs({ key: 'cores', operator: 'Gt', values: ['8'] }), unmatched],
    [
      'is not the pinned host',
      needs({ key: 'kubernetes.io/hostname', operator: 'In', values: ['a'] }),
      undefined,
    ],
  ])('%s', (_name, spec, wanted) => {
    const found = unfit(node, pod({ spec: { ...spec } }).spec);
    if (wanted) expect(found).toMatch(wanted);
    else expect(found).toBeUndefined();
  });
});
