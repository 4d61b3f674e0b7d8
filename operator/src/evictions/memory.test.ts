// SPDX-License-Identifier: Apache-2.0
// What an eviction in a namespace of many pods costs the operator.
import { expect, it } from 'vitest';
import { annotations } from '../../../crds/src/index.ts';
import {
  migrationRequests,
  podDisruptionBudgets,
  pods,
  silent,
  type Api,
  type EventRecorder,
  type Resource,
} from '../../../kube/src/index.ts';
import { ManyPods } from '../../../kube/testing/many-pods.ts';
import { migration, pod } from '../../testing/objects.ts';
import { Evictor } from './evictor.ts';

const evicted = pod({
  metadata: { annotations: { [annotations.eviction]: 'migrate' }, labels: { set: 'x' } },
});
const { uid, name: podName, namespace } = evicted.metadata;
const eviction = { namespace, podName, podUid: uid, isDryRun: false };
const labelled = { labels: { set: 'x', tier: 'a' } };

/** One of the many is being moved, and as many others that are no pods of the budget. */
const moves = (strangers: number): object[] => [
  migration({ metadata: { name: 'one' }, spec: { podName: 'p4321' } }),
  ...Array.from({ length: strangers }, (_, n) =>
    migration({ metadata: { name: `two-${n}` }, spec: { podName: `stranger-${n}` } }),
  ),
];

function evictor(many: ManyPods, disruptionsAllowed: number, strangers: number): Evictor {
  const budget = {
    metadata: { name: 'budget', namespace, uid: 'b', generation: 1 },
    spec: {
      selector: {
        matchLabels: { set: 'x' },
        matchExpressions: [{ key: 'tier', operator: 'NotIn', values: ['b', 'c'] }],
      },
    },
    status: { disruptionsAllowed, observedGeneration: 1 },
  };
  const objects = new Map<Resource<unknown>, object[]>([
    [podDisruptionBudgets, [budget]],
    [migrationRequests, moves(strangers)],
  ]);
  const { client } = many;
  const api = {
    get: (of: Resource<unknown>, _namespace: string, name: string) => {
      if (of !== pods) return Promise.resolve({ metadata: { name: namespace } });
      if (name === podName) return Promise.resolve(evicted);
      const labels = name === 'p4321' ? labelled.labels : {};
      return Promise.resolve(pod({ metadata: { name, uid: name, labels } }));
    },
    list: (of: Resource<unknown>, options: { fieldSelector?: string }) => {
      if (of === pods) return client.list(of, options);
      const found = options.fieldSelector === undefined ? (objects.get(of) ?? []) : [];
      return Promise.resolve({ items: found, resourceVersion: '1' });
    },
    create: () => Promise.resolve(migration({ metadata: { name: 'made' } })),
    delete: () => Promise.resolve(),
  } as unknown as Api;
  const events = { record: () => undefined } as unknown as EventRecorder;
  return new Evictor({ api, events, log: silent });
}

const { signal } = new AbortController();
const taken = {
  verdict: 'Refuse',
  message: expect.stringContaining('and 1 of its pods are being moved') as string,
};

it('never has more than a page of pods in memory', { timeout: 600_000 }, async () => {
  const change = (one: { metadata: object }) => ({
    ...one,
    metadata: { ...one.metadata, ...labelled },
  });
  const many = new ManyPods(5_000, change);
  const answer = await evictor(many, 2, 20).answer(eviction, signal);
  expect(answer).toMatchObject({ verdict: 'Move' });
  expect(many.queries, 'read before the request is made, and after').toHaveLength(20);
  expect(many.queries[0]).toMatchObject({ labelSelector: 'set=x,tier notin (b,c)' });
  expect(many.highestMiB, 'MiB; all of them have 40').toBeLessThan(16);
  expect(await evictor(new ManyPods(5_000, change), 1, 20).answer(eviction, signal)).toMatchObject(
    taken,
  );
});

it('lists no pods while few are moved', async () => {
  const many = new ManyPods(5_000);
  expect(await evictor(many, 1, 3).answer(eviction, signal)).toMatchObject(taken);
  expect(await evictor(many, 2, 3).answer(eviction, signal)).toMatchObject({ verdict: 'Move' });
  expect(many.queries).toEqual([]);
});
