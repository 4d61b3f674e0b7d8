// SPDX-License-Identifier: Apache-2.0
// How often a RestoreRequest has every pod of the cluster read, and what two of one checkpoint get.
import { describe, expect, it } from 'vitest';
import { annotations, RUNTIME_CLASS, type RestoreRequest } from '../../../crds/src/index.ts';
import {
  ApiError,
  ConnectionError,
  EventRecorder,
  FakeClock,
  Informer,
  nodes,
  Pod,
  pods,
  reconciler,
  restoreRequests,
  silent,
  type Api,
  type ListOptions,
  type Resource,
} from '../../../kube/src/index.ts';
import { at, migration, node, NOW, pod, restore, stored, target } from '../../testing/objects.ts';
import { MoveQueue } from '../moves/move-queue.ts';
import { Dependencies } from '../requests/dependencies.ts';
import { restoreParts } from './reconcile.ts';
import type { Observed } from './types.ts';

const networks = JSON.stringify([{ name: 'fabric', namespace: 'default', ips: ['10.9.0.1/24'] }]);

class Cluster {
  readonly clock = new FakeClock(NOW);
  readonly moves = new MoveQueue();
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
    const { clock, moves } = this;
    this.#parts = restoreParts(new Dependencies({ api, clock, moves, nodes: cache, events }));
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

/** Restores of one checkpoint, whose pods can be created or not. */
class Restores {
  readonly clock = new FakeClock(NOW);
  /** Manifests of pods that were created, by name. */
  readonly created = new Map<string, Pod>();
  /** Names of pods whose next creations fail, `lost`: though the pod is there afterwards. */
  readonly failing = new Map<string, 'refused' | 'lost'>();
  lists = 0;
  readonly #reconcile;

  constructor(...names: string[]) {
    const requests = new Map<string, RestoreRequest>(
      names.map((name) => [
        name,
        restore({
          metadata: { name, uid: `uid-${name}` },
          spec: { podName: `pod-${name}` },
          status: {
            ...{ ...accepted, checkpointId: 'saved-uid', digest: 'sha256:1' },
            target: { nodeName: 'b', podName: `pod-${name}` },
          },
        }),
      ]),
    );
    const found = (one: unknown, name: string): Promise<unknown> =>
      one ? Promise.resolve(one) : Promise.reject(new ApiError(404, 'NotFound', name));
    const annotated = { [annotations.networks]: networks, [annotations.rdmaDevice]: 'rxe_eth0' };
    const spec = { runtimeClassName: RUNTIME_CLASS, containers: [] };
    const template = { metadata: { annotations: annotated }, spec };
    const config = JSON.stringify({ type: 'macvlan', ipam: { type: 'host-local' } });
    const api = {
      get: (of: Resource<unknown>, _namespace: string, name: string) => {
        if (of === pods) return found(this.created.get(name), name);
        if (of === restoreRequests) return found(requests.get(name), name);
        return found(stored({ podTemplate: template }), name);
      },
      getRaw: () => found({ spec: { config } }, ''),
      list: (_of: unknown, { each }: ListOptions) => {
        this.lists += 1;
        for (const one of this.created.values()) each?.(one);
        return Promise.resolve({ items: [], resourceVersion: '1' });
      },
      create: async (
        _of: unknown,
        _namespace: string,
        manifest: { metadata: { name: string } },
      ) => {
        await Promise.resolve();
        const { name } = manifest.metadata;
        const fails = this.failing.get(name);
        if (fails === 'refused') throw new ApiError(500, 'InternalError', 'a webhook is down');
        this.created.set(name, Pod.parse({ ...manifest, status: { phase: 'Pending' } }));
        if (fails === 'lost') throw new ConnectionError('RequestTimeout', 'no answer');
      },
      apply: (_of: unknown, request: unknown) => Promise.resolve(request),
    } as unknown as Api;
    const cache = new Informer({ api, resource: nodes, log: silent });
    cache.list = () => [node('a'), node('b')];
    const events = new EventRecorder({ api, log: silent, component: 'test' });
    const { clock } = this;
    const parts = restoreParts(new Dependencies({ api, clock, nodes: cache, events }));
    this.#reconcile = reconciler(parts, clock);
  }

  /** @returns the code of what it has failed with */
  async run(name: string): Promise<string | undefined> {
    const context = { signal: new AbortController().signal, log: silent };
    try {
      await this.#reconcile(`default/${name}`, context);
      return undefined;
    } catch (error) {
      return (error as ApiError).code;
    }
  }

  /** Name, address and device that a pod was created with. */
  identity(name: string): unknown[] {
    const own = this.created.get(`pod-${name}`)?.metadata.annotations ?? {};
    const [network] = JSON.parse(own[annotations.networks] ?? '[]') as { ips?: string[] }[];
    return [network?.ips?.[0], own[annotations.rdmaDevice]];
  }
}

describe('of several restores of one checkpoint', () => {
  const all = ['10.9.0.1/24', 'rxe_eth0'];
  const none = [undefined, undefined];

  it('one gets the address and the device, though the other has seen them free', async () => {
    const restores = new Restores('a', 'b');
    restores.failing.set('pod-a', 'refused');
    expect(await restores.run('a')).toBe('InternalError');
    expect(await restores.run('b')).toBeUndefined();
    restores.failing.clear();
    await restores.run('a');
    expect([restores.identity('a'), restores.identity('b')]).toEqual([none, all]);
  });

  it('one gets them if the API server’s answer to its creation is lost', async () => {
    const restores = new Restores('a', 'b');
    restores.failing.set('pod-a', 'refused').set('pod-b', 'lost');
    await restores.run('a');
    expect(await restores.run('b')).toBe('RequestTimeout');
    restores.failing.clear();
    await restores.run('a');
    expect([restores.identity('a'), restores.identity('b')]).toEqual([none, all]);
  });

  it('one gets them if both are made at the same time', async () => {
    const names = ['a', 'b', 'c'];
    const restores = new Restores(...names);
    const codes = await Promise.all(names.map((name) => restores.run(name)));
    expect(codes).toEqual([undefined, 'Conflict', 'Conflict']);
    while (restores.created.size < names.length) for (const name of names) await restores.run(name);
    expect(names.map((name) => restores.identity(name))).toEqual([all, none, none]);
  });

  it('one whose creation fails has nothing read again while no other gets anything', async () => {
    const restores = new Restores('a');
    restores.failing.set('pod-a', 'refused');
    for (let attempt = 0; attempt < 9; attempt++) {
      await restores.run('a');
      await restores.clock.advance(1_000);
    }
    expect(restores.lists).toBe(1);
  });
});

describe('memory that was found for the move that has lost the pod', () => {
  it.each([
    ['is there for its restore', { [annotations.requestUid]: 'uid-move' }, 0],
    ['is not for another restore', { [annotations.requestUid]: 'uid-other' }, 7],
    ['is not for a user’s', {}, 7],
  ])('%s', async (_name, annotated, taken) => {
    const cluster = new Cluster(restore({ metadata: { annotations: annotated } }));
    const memory = { bytes: 7 };
    const status = { source: { nodeName: 'a' }, target: { nodeName: 'b', memory } };
    cluster.moves.update(migration({ metadata: { uid: 'uid-move' }, status }), undefined);
    expect((await cluster.look())?.memory?.taken('b')).toBe(taken);
  });
});

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
