// SPDX-License-Identifier: Apache-2.0
// A Job that may have counted its pods before one of them has come back from an aborted move.
import { describe, expect, it } from 'vitest';
import type { Pod } from '../../../kube/src/index.ts';
import { effects, see, summary } from '../../testing/migration.ts';
import { accepted, at, decision, NOW, pod, type PodParts } from '../../testing/objects.ts';
import { decideMigration } from './decide.ts';
import type { Observed } from './types.ts';

const own = { apiVersion: 'batch/v1', kind: 'Job', name: 'set', uid: 'set-uid', controller: true };
const source = (owner: object, parts: PodParts = {}): Pod =>
  pod({ ...parts, metadata: { ownerReferences: [owner], ...parts.metadata } });

function request(status: Record<string, unknown>): Observed['request'] {
  const { controller: _controller, ...reference } = own;
  const controller = { ...reference, handover: 'BeforeHold' };
  return accepted({
    source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid', controller },
    ...status,
  });
}

describe('a pod of a Job', () => {
  const aborted = {
    ...{ decision: decision('Aborted', 'Cancelled'), sourceAgent: { state: 'Resumed' } },
    targetAgent: { state: 'AtCreateGate' },
  };
  const end = { type: 'Succeeded', status: 'False', reason: 'Cancelled', message: '' };
  const conditions = [{ ...end, lastTransitionTime: at(0), observedGeneration: 1 }];
  const over = { ...aborted, completionTime: at(0), conditions };
  it.each<[string, string[], number | undefined, number, Partial<Observed>]>([
    ['is looked at again', [], 1000, 0, { sourcePod: source(own), controller: 'active' }],
    ['later', [], 30_000, 30, { sourcePod: source(own), controller: 'active' }],
    [
      'as long as the Job may be late',
      ['RemoveFinalizer'],
      undefined,
      61,
      { sourcePod: source(own), controller: 'active' },
    ],
    [
      'after a change to an earlier clock',
      [],
      1000,
      -5,
      { sourcePod: source(own), controller: 'active' },
    ],
    [
      'ends with a Job that has finished',
      ['EndSource'],
      1000,
      2,
      { sourcePod: source(own), controller: 'finished' },
    ],
    [
      'also after the operator was away',
      ['EndSource'],
      1000,
      900,
      { sourcePod: source(own), controller: 'finished' },
    ],
    [
      'is left alone when it has ended',
      ['RemoveFinalizer'],
      undefined,
      2,
      { sourcePod: source(own, { status: { phase: 'Succeeded' } }), controller: 'finished' },
    ],
    [
      'is left to another controller',
      ['RemoveFinalizer'],
      undefined,
      2,
      { sourcePod: source({ ...own, uid: 'other' }), controller: 'finished' },
    ],
    [
      'is left to the garbage collector',
      ['RemoveFinalizer'],
      undefined,
      2,
      { sourcePod: source(own), controller: 'gone' },
    ],
    [
      'is ended once',
      ['RemoveFinalizer'],
      undefined,
      2,
      {
        sourcePod: source(own, { metadata: { deletionTimestamp: at(1) } }),
        controller: 'finished',
      },
    ],
    [
      'is gone',
      ['RemoveFinalizer'],
      undefined,
      2,
      { sourcePod: undefined, controller: 'finished' },
    ],
  ])('after the end of an aborted request, %s', (_name, expected, lookAgainMs, seconds, parts) => {
    const finished = { since: NOW };
    const seen = see({ request: request(over), finished, ...parts });
    const made = decideMigration(seen, NOW + seconds * 1000);
    expect(effects(made)).toEqual(expected);
    expect(made.requeueAfterMs).toBe(lookAgainMs);
  });

  it('keeps its finalizer at the end of an aborted request', () => {
    const parts = { sourcePod: source(own), controller: 'active' } as const;
    const made = decideMigration(see({ request: request(aborted), ...parts }), NOW);
    expect([summary(made), effects(made)]).toEqual(['False Cancelled', []]);
  });

  it('of another controller by now is not ended after an abort', () => {
    const parts = { sourcePod: source({ ...own, uid: 'other' }), controller: 'finished' } as const;
    expect(
      effects(decideMigration(see({ request: request(aborted), ...parts }), NOW)),
    ).not.toContain('EndSource');
  });
});
