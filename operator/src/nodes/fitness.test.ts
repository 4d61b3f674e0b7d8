// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { Node } from '../../../kube/src/index.ts';
import { pod } from '../../testing/objects.ts';
import { annotations } from '../../../crds/src/index.ts';
import { unfit, withoutPlacement } from './fitness.ts';

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
const requires = (...nodeSelectorTerms: object[]): object => ({
  tolerations: [gpu],
  affinity: {
    nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
  },
});
const needs = (...matchExpressions: object[]): object => requires({ matchExpressions });
const host = (operator: string, ...values: string[]): object => ({
  ...{ key: 'kubernetes.io/hostname', operator, values },
});
const name = (operator: string, ...values: string[]): object => ({
  ...{ key: 'metadata.name', operator, values },
});
const unmatched = /required node affinity/;

describe('what a pod asks of its node', () => {
  const zone = { key: 'zone', operator: 'In', values: ['z1'] };
  const source = { name: 'a', hostname: 'host-a' };
  const made = { [annotations.requestUid]: 'u' };
  const fits = (spec: object, own: Record<string, string>): boolean => {
    const asked = withoutPlacement(pod({ metadata: { annotations: own }, spec: { ...spec } }));
    return unfit(node, asked, source) === undefined;
  };
  const on = (one: string): object => ({ matchFields: [name('In', one)] });

  it.each<[string, object, Record<string, string>, boolean]>([
    ['is not where an earlier move let it go', requires(on('c'), on('d')), made, true],
    ['is what its user has asked for', requires(on('c'), on('d')), {}, false],
    [
      'is what its user has asked for, also after a move',
      requires(
        { matchExpressions: [zone], ...on('c') },
        { matchFields: [name('In', 'x'), name('In', 'x')] },
      ),
      made,
      true,
    ],
    [
      'is a name of its user’s, also after a move',
      requires({ matchFields: [name('In', 'c'), name('In', 'c')] }),
      made,
      false,
    ],
    ['is nothing', { tolerations: [gpu] }, made, true],
  ])('%s', (_name, spec, own, wanted) => {
    expect(fits(spec, own)).toBe(wanted);
  });
});

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
      'is another than the host that the pod is pinned to, and leaves',
      { tolerations: [gpu], nodeSelector: { 'kubernetes.io/hostname': 'host-a' } },
      undefined,
    ],
    [
      'is another than the host that the selector names',
      { tolerations: [gpu], nodeSelector: { 'kubernetes.io/hostname': 'c' } },
      /lacks the label kubernetes.io\/hostname=c/,
    ],
    ['matches', needs({ key: 'zone', operator: 'In', values: ['z1', 'z3'] }), undefined],
    ['does not match', needs({ key: 'zone', operator: 'NotIn', values: ['z1'] }), unmatched],
    ['has no such label', needs({ key: 'ssd', operator: 'Exists' }), unmatched],
    ['has enough', needs({ key: 'cores', operator: 'Gt', values: ['4'] }), undefined],
    ['has too little', needs({ key: 'cores', operator: 'Gt', values: ['8'] }), unmatched],
    ['has a number that is none', needs({ key: 'zone', operator: 'Lt', values: ['9'] }), unmatched],
    ['is not the host that the pod leaves', needs(host('In', 'host-a')), undefined],
    ['is excluded by its host name', needs(host('NotIn', 'b')), unmatched],
    ['is none of several hosts', needs(host('In', 'host-a', 'c')), unmatched],
    ['is one of several hosts', needs(host('In', 'host-a', 'b')), undefined],
    ['is excluded by its name', requires({ matchFields: [name('NotIn', 'b')] }), unmatched],
    ['is excluded by another name', requires({ matchFields: [name('NotIn', 'c')] }), undefined],
    [
      'is not the node that the pod leaves',
      requires({ matchFields: [name('In', 'a')] }),
      undefined,
    ],
    ['is not the node that is named', requires({ matchFields: [name('In', 'c')] }), unmatched],
    [
      'meets no alternative to the host that the pod leaves',
      requires(
        { matchExpressions: [host('In', 'host-a')] },
        { matchExpressions: [{ key: 'zone', operator: 'In', values: ['z2'] }] },
      ),
      unmatched,
    ],
    ['is asked for nothing by a term, which no node meets', requires({}), unmatched],
  ])('%s', (_name, spec, wanted) => {
    const found = unfit(node, pod({ spec: { ...spec } }).spec, { name: 'a', hostname: 'host-a' });
    if (wanted) expect(found).toMatch(wanted);
    else expect(found).toBeUndefined();
  });
});
