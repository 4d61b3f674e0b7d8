// SPDX-License-Identifier: Apache-2.0
// How often a RestoreRequest has every pod of the cluster read.
import { describe, expect, it } from 'vitest';
import { annotations, type RestoreRequest } from '../../../crds/src/index.ts';
import {
  ApiError,
  EventRecorder,
  FakeClock,
  Informer,
  nodes,
  pods,
  restoreRequests,
  silent,
  type Api,
  type ListOptions,
  type Resource,
} from '../../../kube/src/index.ts';
import { at, node, NOW, pod, restore, stored, target } from '../../testing/objects.ts';
import { Dependencies } from '../requests/dependencies.ts';
import { restoreParts } from './reconcile.ts';
import type { Observed } from './types.ts';

const networks = JSON.stringify([{ name: 'fabric', namespace: 'default', ips: ['10.9.0.1/24'] }]);

class Cluster {
  readonly clock = new FakeClock(NOW);
  request: RestoreRequest | undefined;
  target: unknown;
  /** Of the checkpointed pod. */
  annotations: Record<string, string> = { [annotations.networks]: networks };
  /** Selectors of lists of pods. */
  readonly lists: (string | undefined)[] = [];
  readonly #parts;

  constructor(request: RestoreRequest) {
    this.request = request;
    const found = (one: unknown): Promise<unknown> =>
      one ? Promise.resolve(one) : Promise.reject(new ApiError(404, 'NotFound', ''));
    const api = {
      get: (of: Resource<unknown>) => {
        if (of === pods) return found(this.target);
        if (of === restoreRequests) return found(this.request);
        const template = { metadata: { annotations: this.annotations }, spec: { containers: [] } };
        return found(stored({ podTemplate: template }));
      },
      getRaw: () => found(undefined),
      list: (_of: unknown, { each, fieldSelector }: ListOptions) => {
        this.lists.push(fieldSelector);
        each?.(pod({ metadata: { name: 'other', uid: 'other' } }));
        return Promise.resolve({ items: [], resourceVersion: '1' });
      },
    } as unknown as Api;
    const cache = new Informer({ api, resource: nodes, log: silent });
    cache.list = () => [node('a'), node('b')];
    const events = new EventRecorder({ api, log: silent, component: 'test' });
    this.#parts = restoreParts(new Dependencies({ api, clock: this.clock, nodes: cache, events }));
  }

  async look(): Promise<Observed | undefined> {
    const context = { signal: new AbortController().signal, log: silent };
    return this.#parts.observe('default/again', context);
  }
}

const accepted = {
  startTime: at(0),
  source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid' },
  target: { nodeName: 'b', podName: 'p-reque' },
  deadlines: { prepare: at(300) },
};

describe('a cluster’s pods are', () => {
  it('read once before a target is created, and every 10 s while that fails', async () => {
    const cluster = new Cluster(restore());
    await cluster.look();
    cluster.request = restore({ status: accepted });
    for (let second = 0; second < 30; second++) {
      expect((await cluster.look())?.identity).toEqual({ networks, keepsDevice: false });
      await cluster.clock.advance(1_000);
    }
    expect(cluster.lists).toHaveLength(3);
    expect(cluster.lists[0], 'of pods that have ended none').toContain('status.phase!=Failed');
  });

  it('read again for another request of the same name, and for another node', async () => {
    const cluster = new Cluster(restore({ status: accepted }));
    await cluster.look();
    cluster.request = restore({ metadata: { uid: 'another' }, status: accepted });
    await cluster.look();
    expect(cluster.lists).toHaveLength(2);
    cluster.target = target('another');
    await cluster.look();
    cluster.target = undefined;
    await cluster.look();
    expect(cluster.lists).toHaveLength(3);
  });

  it.each<[string, object, Record<string, string> | undefined]>([
    ['has no finalizer yet', { metadata: { finalizers: [] } }, undefined],
    [
      'has created its target',
      { status: { ...accepted, target: { ...accepted.target, podUID: 'target-uid' } } },
      undefined,
    ],
    ['asks for nothing that others may have', {}, {}],
  ])('not read for a request that %s', async (_name, parts, annotated) => {
    const cluster = new Cluster(restore(parts));
    if (annotated) cluster.annotations = annotated;
    await cluster.look();
    expect(cluster.lists).toEqual([]);
  });
});
