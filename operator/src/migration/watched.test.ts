// SPDX-License-Identifier: Apache-2.0
// What the migration controller does by what watches have brought, and what it reads.
import { describe, expect, it } from 'vitest';
import { labels, type MigrationRequest } from '../../../crds/src/index.ts';
import {
  EventRecorder,
  FakeClock,
  Informer,
  keyOf,
  nodes,
  silent,
  type Api,
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

/** @param known pods that watches show; the API server has them all */
function running(request: MigrationRequest, known: readonly Pod[]) {
  const read: string[] = [];
  const api = {
    get: (resource: Resource<unknown>, _namespace: string, name: string) => {
      read.push(`${resource.kind} ${name}`);
      const all = [source, target].find(({ metadata }) => metadata.name === name);
      return Promise.resolve(resource.kind === 'Pod' ? all : request);
    },
  } as unknown as Api;
  const none = { get: () => undefined, list: () => [] };
  const dependencies = new Dependencies({
    ...{ api, clock: new FakeClock(NOW) },
    nodes: new Informer({ api, resource: nodes, log: silent }),
    events: new EventRecorder({ api, log: silent, component: 'test' }),
    watched: {
      migrations: { get: (key) => (key === keyOf(request) ? request : undefined), list: () => [] },
      ...{ restores: none, checkpoints: none },
      pods: { get: (key) => known.find((one) => keyOf(one) === key) },
    },
  });
  const parts = migrationParts(dependencies);
  return { read, parts, key: keyOf(request) };
}

describe('a request in its blackout', () => {
  it('is not observed while its watches show nothing to do', async () => {
    const { parts, key, read } = running(undecided, [source, target]);
    expect(parts.idleMs?.(key, NOW), 'it was never read').toBeUndefined();
    await parts.observe(key, context);
    expect(read.length).toBe(3);
    expect(parts.idleMs?.(key, NOW)).toBeGreaterThan(0);
    expect(parts.idleMs?.(key, NOW + 61_000), 'its deadline is over').toBeUndefined();
  });

  it('is read if a watch does not show its target', async () => {
    const { parts, key, read } = running(undecided, [source]);
    await parts.observe(key, context);
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
