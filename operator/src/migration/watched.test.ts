// SPDX-License-Identifier: Apache-2.0
// What the migration controller does by what watches have brought, and what it reads.
import { describe, expect, it } from 'vitest';
import { labels, type MigrationRequest } from '../../../crds/src/index.ts';
import {
  ApiError,
  ConnectionError,
  EventRecorder,
  FakeClock,
  Informer,
  keyOf,
  nodes,
  reconciler,
  silent,
  type Api,
  type ApiObject,
  type Pod,
  type Resource,
} from '../../../kube/src/index.ts';
import { accepted, at, decision, NOW, pod, target as targetPod } from '../../testing/objects.ts';
import { Dependencies } from '../requests/dependencies.ts';
import { migrationParts } from './reconcile.ts';

const context = { signal: new AbortController().signal, log: silent };
const deadlines = { prepare: at(300), blackout: at(60) };
const agents = (source: string, target: string) => ({
  ...{ deadlines, sourceAgent: { state: source }, targetAgent: { state: target } },
});
const undecided = accepted(agents('Transferring', 'AtCreateGate'));
const committed = accepted({
  ...agents('Transferring', 'AtResumeGate'),
  decision: decision('Committed'),
});
const source = pod();
const target = targetPod(undecided.metadata.uid, {
  metadata: { labels: { [labels.role]: 'target' } },
});

const noAnswer = () => new ConnectionError('Unreachable', 'no answer');

/** As a watch has it that is behind. */
const old = <T extends { metadata: object }>(object: T): T => ({
  ...object,
  metadata: { ...object.metadata, resourceVersion: 'old' },
});

/**
 * @param known pods that watches show; the API server has them all
 * @param seen the request as its watch shows it
 */
function running(request: MigrationRequest, known: readonly Pod[], seen = request) {
  const read: string[] = [];
  const written: string[] = [];
  /** The request of that kind that gets no answer. */
  const lost: { what?: 'pod' | 'status' | undefined } = {};
  const clock = new FakeClock(NOW);
  const api = {
    get: (resource: Resource<unknown>, _namespace: string, name: string) => {
      read.push(`${resource.kind} ${name}`);
      if (resource.kind === 'Pod' && lost.what === 'pod') return Promise.reject(noAnswer());
      const all = [source, target].find(({ metadata }) => metadata.name === name);
      return Promise.resolve(resource.kind === 'Pod' ? all : request);
    },
    apply: (resource: Resource<unknown>, { metadata }: ApiObject) => {
      if (lost.what === 'status') return Promise.reject(noAnswer());
      written.push(`${resource.kind} ${metadata.resourceVersion}`);
      const isOld = metadata.resourceVersion === 'old';
      return isOld
        ? Promise.reject(new ApiError(409, 'Conflict', 'old'))
        : Promise.resolve(request);
    },
    merge: () => Promise.resolve(),
  } as unknown as Api;
  const none = { get: () => undefined, list: () => [] };
  const dependencies = new Dependencies({
    ...{ api, clock },
    nodes: new Informer({ api, resource: nodes, log: silent }),
    events: new EventRecorder({ api, log: silent, component: 'test' }),
    watched: {
      migrations: { get: (key) => (key === keyOf(request) ? seen : undefined), list: () => [] },
      ...{ restores: none, checkpoints: none },
      pods: { get: (key) => known.find((one) => keyOf(one) === key) },
    },
  });
  const parts = migrationParts(dependencies);
  const look = () => reconciler(parts, clock)(keyOf(request), context);
  return { read, written, parts, key: keyOf(request), lost, clock, look };
}

describe('a request in its blackout', () => {
  it('is not observed while its watches show nothing to do', async () => {
    const { parts, key, read, look } = running(undecided, [source, target]);
    expect(parts.idleMs?.(key, NOW), 'it was never read').toBeUndefined();
    await look();
    expect(read.length).toBe(3);
    expect(parts.idleMs?.(key, NOW)).toBeGreaterThan(0);
    expect(parts.idleMs?.(key, NOW + 61_000), 'its deadline is over').toBeUndefined();
  });

  it.each(['pod', 'status'] as const)(
    'is looked at again if the API server did not answer for its %s',
    async (what) => {
      const { parts, key, clock, lost, look } = running(undecided, [source, target]);
      for (const which of ['first', 'next']) {
        lost.what = what;
        await expect(look(), which).rejects.toMatchObject({ code: 'Unreachable' });
        expect(parts.idleMs?.(key, clock.now()), which).toBeUndefined();
        lost.what = undefined;
        await look();
        expect(parts.idleMs?.(key, clock.now()), which).toBeGreaterThan(0);
        await clock.advance(30_000);
      }
    },
  );

  it('is read if a watch does not show its target', async () => {
    const { parts, key, read, look } = running(undecided, [source]);
    await look();
    read.length = 0;
    expect(parts.idleMs?.(key, NOW)).toBeUndefined();
    const observed = await parts.observe(key, context);
    expect(read.length).toBe(3);
    if (!observed) throw new Error('not observed');
    expect(parts.decide(observed, NOW).effects).toEqual([]);
  });

  it('once committed lets Services select the target without reading anything', async () => {
    const { parts, key, read } = running(committed, [source, target]);
    expect(parts.idleMs?.(key, NOW)).toBeUndefined();
    const observed = await parts.observe(key, context);
    expect(read).toEqual([]);
    if (!observed) throw new Error('not observed');
    expect(parts.decide(observed, NOW).effects).toEqual([{ type: 'AllowTraffic' }]);
  });

  it.each<[string, MigrationRequest, Pod]>([
    ['pod', committed, old(target)],
    ['request', old(committed), target],
  ])(
    'once committed is read after a watch that is behind with its %s',
    async (what, seen, shown) => {
      const { read, written, look, clock } = running(committed, [source, shown], seen);
      await expect(look()).rejects.toMatchObject({ code: 'Conflict' });
      expect([read, written.at(-1)]).toEqual([
        [],
        `${what === 'pod' ? 'Pod' : committed.kind} old`,
      ]);
      written.length = 0;
      await look();
      expect(written.filter((one) => one.endsWith('old'))).toEqual([]);
      expect(written.filter((one) => one.startsWith('Pod'))).toHaveLength(1);
      // Nothing wakes it again meanwhile.
      read.length = 0;
      await clock.advance(1000);
      await look();
      expect(read).toEqual([]);
    },
  );

  it('once committed does not end as lost because no watch shows its pods', async () => {
    const { parts, key, read } = running(committed, []);
    const observed = await parts.observe(key, context);
    expect(read.length).toBe(3);
    if (!observed) throw new Error('not observed');
    const plan = parts.decide(observed, NOW);
    expect(plan.status?.phase).toBe('Resuming');
    expect(plan.effects).toEqual([{ type: 'AllowTraffic' }]);
  });
});
