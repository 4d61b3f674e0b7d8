// SPDX-License-Identifier: Apache-2.0
// The turn of a request whose policy has changed while it waited: what its reconciler sees and what the queue accepts agree.
import { describe, expect, it } from 'vitest';
import { MigrationPolicy } from '../../../crds/src/index.ts';
import {
  ApiError,
  EventRecorder,
  FakeClock,
  Informer,
  keyOf,
  nodes,
  reconciler,
  silent,
  type Api,
  type ApiObject,
  type Resource,
} from '../../../kube/src/index.ts';
import { at, migration, node, NOW, pod } from '../../testing/objects.ts';
import { MoveQueue } from '../moves/move-queue.ts';
import { Dependencies } from '../requests/dependencies.ts';
import { migrationParts } from './reconcile.ts';

const context = { signal: new AbortController().signal, log: silent };
const waiting = { queue: { position: 1, waitsFor: 'Cluster', sourceNodeName: 'a' } };
const favoured = { ...waiting, policy: { name: 'pol', generation: 1, queuePriority: 50 } };
const policy = (spec: object): MigrationPolicy =>
  MigrationPolicy.parse({ metadata: { name: 'pol', generation: 2 }, spec });

interface Parts {
  readonly spec?: Record<string, unknown>;
  readonly status?: Record<string, unknown> | undefined;
  readonly policies?: readonly MigrationPolicy[];
  /** Seconds for which another request has waited; absent: there is none. */
  readonly otherAge?: number;
}

/** Looks at the request once. @returns the status that is written */
async function lookAt({ spec = {}, status, policies = [], otherAge }: Parts): Promise<object> {
  const clock = new FakeClock(NOW);
  const moves = new MoveQueue({ cluster: 1, perNode: 1 }, clock);
  const request = migration({ spec, status });
  if (otherAge !== undefined) {
    const metadata = { name: 'other', uid: 'other-uid', creationTimestamp: at(-otherAge) };
    moves.update(migration({ metadata, status: waiting }), undefined);
  }
  moves.update(request, undefined);
  let written: object = {};
  const known = new Map<string, unknown>([
    ['MigrationRequest', request],
    ['Pod', pod()],
    ['Namespace', { metadata: { name: 'default', uid: 'namespace-uid', labels: {} } }],
  ]);
  const api = {
    get: ({ kind }: Resource<unknown>, _namespace: string, name: string) => {
      const found = kind !== 'Pod' || name === 'p' ? known.get(kind) : undefined;
      if (found !== undefined) return Promise.resolve(found);
      return Promise.reject(new ApiError(404, 'NotFound', name));
    },
    getRaw: () => Promise.reject(new ApiError(404, 'NotFound', '')),
    list: () => Promise.resolve({ items: [], resourceVersion: '1' }),
    apply: (_resource: Resource<unknown>, _object: ApiObject, body: { status: object }) => {
      written = body.status;
      // Nothing is created: the test ends with what was written.
      return Promise.reject(new ApiError(500, 'Written', ''));
    },
  } as unknown as Api;
  const cache = new Informer({ api, resource: nodes, log: silent });
  cache.list = () => [node('a'), node('b')];
  const dependencies = new Dependencies({
    ...{ api, clock, moves, nodes: cache, policies: { list: () => [...policies] } },
    events: new EventRecorder({ api, log: silent, component: 'test' }),
  });
  const look = reconciler(migrationParts(dependencies), clock)(keyOf(request), context);
  await expect(look).rejects.toMatchObject({ code: 'Written' });
  return written;
}

describe('a request alone in the queue has its turn', () => {
  it.each<[string, Parts]>([
    ['and no policy', {}],
    ['under a policy that has it wait for longer', { policies: [policy({ queuePriority: -1 })] }],
    [
      'whatever it asks for above its policy',
      { spec: { priority: 9000 }, policies: [policy({ queuePriority: 0 })] },
    ],
    ['when its policy is deleted', { status: favoured }],
    [
      'when its policy selects its pod no more',
      {
        status: favoured,
        policies: [policy({ queuePriority: 50, podSelector: { matchLabels: { app: 'other' } } })],
      },
    ],
    [
      'when its policy says no priority any more',
      { status: favoured, policies: [policy({ limits: { migrations: 5 } })] },
    ],
    [
      'when its policy has got a lower priority',
      { status: favoured, policies: [policy({ queuePriority: -50 })] },
    ],
  ])('%s', async (_name, parts) => {
    expect(await lookAt(parts)).toMatchObject({ source: { nodeName: 'a' } });
  });
});

describe('a request that an older one waits beside', () => {
  const otherAge = 100;
  it('has its turn by its policy', async () => {
    const policies = [policy({ queuePriority: 50 })];
    const status = await lookAt({ status: favoured, policies, otherAge });
    expect(status).toMatchObject({ source: { nodeName: 'a' } });
  });

  it.each<[string, Parts, object]>([
    ['when its policy is deleted', { status: favoured }, { position: 2, priority: 0 }],
    [
      'as its policy bounds it from the first look on',
      { spec: { priority: 9000 }, policies: [policy({ queuePriority: 0 })] },
      { position: 2, priority: 0 },
    ],
  ])('waits behind that one %s', async (_name, parts, place) => {
    const status = await lookAt({ ...parts, otherAge });
    expect(status).toMatchObject({ queue: { waitsFor: 'OlderRequests', ...place } });
    expect(status).not.toHaveProperty('source');
  });
});
