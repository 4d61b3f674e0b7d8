// SPDX-License-Identifier: Apache-2.0
// Which policy applies to a pod, and what its timeouts amount to.
import { describe, expect, it } from 'vitest';
import {
  applied,
  MigrationPolicy,
  policyFor,
  selectorQuery,
  selects,
  Timeouts,
  timeoutsOf,
  type LabelSelector,
} from './index.ts';

const policy = (name: string, spec: object = {}): MigrationPolicy =>
  MigrationPolicy.parse({ metadata: { name, generation: 3 }, spec });

describe('a label selector', () => {
  const one = (operator: string, values?: string[]): LabelSelector =>
    ({ matchExpressions: [{ key: 'app', operator, values }] }) as LabelSelector;
  it.each<[string, LabelSelector, Record<string, string>, boolean]>([
    ['empty', {}, {}, true],
    ['a label', { matchLabels: { app: 'x' } }, { app: 'x', more: '1' }, true],
    ['another value', { matchLabels: { app: 'x' } }, { app: 'y' }, false],
    ['one of two labels', { matchLabels: { app: 'x', b: '' } }, { app: 'x' }, false],
    ['In', one('In', ['x', 'y']), { app: 'y' }, true],
    ['In, without the label', one('In', ['x']), {}, false],
    ['NotIn', one('NotIn', ['x']), { app: 'x' }, false],
    ['NotIn, without the label', one('NotIn', ['x']), {}, true],
    ['Exists', one('Exists'), { app: '' }, true],
    ['Exists, without the label', one('Exists'), {}, false],
    ['DoesNotExist', one('DoesNotExist'), {}, true],
    ['DoesNotExist, with the label', one('DoesNotExist'), { app: 'x' }, false],
    ['a name of every object', { matchLabels: { toString: 'x' } }, {}, false],
  ])('%s', (_name, selector, labels, wanted) => {
    expect(selects(selector, labels)).toBe(wanted);
  });

  it('is a query to the API server', () => {
    const matchExpressions = [
      ...(one('In', ['x', 'y']).matchExpressions ?? []),
      ...(one('NotIn', ['z']).matchExpressions ?? []),
      ...(one('Exists').matchExpressions ?? []),
      ...(one('DoesNotExist').matchExpressions ?? []),
    ];
    expect(selectorQuery({ matchLabels: { a: '1', 'b/c': '' }, matchExpressions })).toBe(
      'a=1,b/c=,app in (x,y),app notin (z),app,!app',
    );
    expect(selectorQuery({})).toBe('');
  });
});

describe('the policy of a pod', () => {
  const pod = { metadata: { labels: { app: 'x' } } };
  const namespace = { labels: { team: 'a' } };
  const others = { podSelector: { matchLabels: { app: 'y' } } };
  const elsewhere = { namespaceSelector: { matchLabels: { team: 'b' } } };
  it.each<[string, MigrationPolicy[], string | undefined]>([
    ['none', [], undefined],
    ['one for all pods', [policy('all')], 'all'],
    ['not one for other pods', [policy('y', others)], undefined],
    ['not one for another namespace', [policy('b', elsewhere)], undefined],
    ['the highest priority', [policy('a', { priority: 1 }), policy('b', { priority: 2 })], 'b'],
    ['the first name of equals', [policy('c'), policy('b'), policy('d')], 'b'],
    ['a negative priority last', [policy('a', { priority: -1 }), policy('z')], 'z'],
    [
      'not a higher one that does not select it',
      [policy('a', { priority: 9, ...others }), policy('b')],
      'b',
    ],
  ])('%s', (_name, policies, wanted) => {
    expect(policyFor(policies, pod, namespace)?.metadata.name).toBe(wanted);
    expect(policyFor([...policies].reverse(), pod, namespace)?.metadata.name).toBe(wanted);
  });

  it('is kept as it says itself', () => {
    expect(applied(policy('p'))).toEqual({ name: 'p', generation: 3 });
    const spec = { limits: { migrations: 1 }, timeouts: { holdSeconds: 5 } };
    expect(applied(policy('p', { ...spec, ttlSecondsAfterFinished: 0 }))).toEqual({
      ...{ name: 'p', generation: 3, ttlSecondsAfterFinished: 0 },
      ...spec,
    });
  });
});

describe('timeouts under a policy', () => {
  const of = (timeouts: object, limits?: object) =>
    timeoutsOf({
      spec: { timeouts: Timeouts.parse(timeouts) },
      ...(limits && { status: { policy: { timeouts: limits } } }),
    });
  it('are the spec’s without one', () => {
    expect(of({ dumpSeconds: 7 })).toEqual(Timeouts.parse({ dumpSeconds: 7 }));
  });
  it('are never longer than the policy’s, and never longer than the blackout', () => {
    const narrow = of({ dumpSeconds: 50 }, { blackoutSeconds: 30, holdSeconds: 5 });
    expect(narrow).toMatchObject({ blackoutSeconds: 30, holdSeconds: 5, dumpSeconds: 30 });
    expect(Timeouts.parse(narrow)).toEqual(narrow);
  });
  it('are the spec’s where it asks for less', () => {
    const short = of({ blackoutSeconds: 10, prepareSeconds: 20 }, { blackoutSeconds: 30 });
    expect(short).toMatchObject({ blackoutSeconds: 10, prepareSeconds: 20 });
  });
  it('narrow a step’s default', () => {
    expect(of({}, { transferSeconds: 9 })).toMatchObject({ transferSeconds: 9, dumpSeconds: 60 });
  });
});
