// SPDX-License-Identifier: Apache-2.0
// The simulated API server has to be as strict as the real one: the suite on decisions also runs against a real
// kube-apiserver.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MigrationRequest } from '../../../crds/src/index.ts';
import {
  ConnectionError,
  Informer,
  migrationRequests,
  pods,
  silent,
  writeStatus,
  type Client,
} from '../../../kube/src/index.ts';
import { decisionSuite, type Fixture } from '../../../kube/testing/definitions-suite.ts';
import { Process } from '../process.ts';
import { Random } from '../random.ts';
import { Timeline } from '../timeline.ts';
import { anybody } from './rules.ts';
import { ApiServer } from './server.ts';
import { Store } from './store.ts';

const timeline = new Timeline(Date.parse('2026-01-01T00:00:00Z'), new Random(1));
const store = new Store(new Random(2), () => timeline.now);
const server = new ApiServer(timeline, store);
const process = new Process('test', timeline);
const client = server.client(process, anybody);

let isOver = false;
let running: Promise<void>;
beforeAll(() => {
  running = (async () => {
    while (!isOver) {
      if (!(await timeline.step())) await new Promise((resolve) => setImmediate(resolve));
    }
  })();
});
afterAll(async () => {
  isOver = true;
  await running;
});

let serial = 0;
const fixture: Fixture = {
  client: client as Client,
  make: async (spec = {}) => {
    const body = { metadata: { name: `request-${++serial}` }, spec: { podName: 'p', ...spec } };
    return migrationRequests.parse(await client.create(migrationRequests, 'default', body));
  },
  merge: (name, patch, subresource) =>
    client.merge(migrationRequests, 'default', name, patch, { subresource }),
  get: (name) => client.get(migrationRequests, 'default', name),
};

decisionSuite(fixture);

describe('the simulated API server', () => {
  const apply = (object: MigrationRequest, manager: string, owned: string[], status: object) => {
    const onConflict = manager === 'operator' ? 'throw' : 'retry';
    return writeStatus(client, {
      ...{ resource: migrationRequests, object, manager, owned, status, onConflict },
    });
  };

  it('keeps each field manager to its own fields, and removes those that it no longer sends', async () => {
    const request = await fixture.make();
    const owned = ['phase', 'startTime'];
    await apply(request, 'agent', ['sourceAgent'], { sourceAgent: { state: 'Waiting' } });
    const startTime = '2026-01-01T00:00:00Z';
    const first = await apply(await fixture.get(request.metadata.name), 'operator', owned, {
      ...{ phase: 'Preparing', startTime },
    });
    expect(first?.status).toEqual({
      ...{ phase: 'Preparing', startTime, sourceAgent: { state: 'Waiting' } },
    });
    const next = first && (await apply(first, 'operator', owned, { phase: 'Holding' }));
    expect(next?.status).toEqual({ phase: 'Holding', sourceAgent: { state: 'Waiting' } });
  });

  it('refuses a write that follows from an older version', async () => {
    const request = await fixture.make();
    await fixture.merge(request.metadata.name, { metadata: { labels: { a: 'b' } } });
    const late = apply(request, 'operator', ['phase'], { phase: 'Preparing' });
    await expect(late).rejects.toMatchObject({ code: 'Conflict' });
  });

  it('keeps an object until its last finalizer is gone', async () => {
    const { metadata } = await fixture.make();
    await fixture.merge(metadata.name, { metadata: { finalizers: ['x'] } });
    await client.delete(migrationRequests, 'default', metadata.name);
    expect((await fixture.get(metadata.name)).metadata.deletionTimestamp).toBeDefined();
    await fixture.merge(metadata.name, { metadata: { finalizers: [] } });
    await expect(fixture.get(metadata.name)).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('leaves a bound pod to its kubelet, unless the grace period is 0', async () => {
    for (const nodeName of ['', 'a']) {
      const body = { metadata: { name: `pod${nodeName}` }, spec: { nodeName } };
      await client.create(pods, 'default', body);
      await client.delete(pods, 'default', `pod${nodeName}`, { gracePeriodSeconds: 1 });
    }
    await expect(client.get(pods, 'default', 'pod')).rejects.toMatchObject({ code: 'NotFound' });
    const dying = await client.get(pods, 'default', 'poda');
    expect(dying.metadata.deletionTimestamp).toBeDefined();
    await client.delete(pods, 'default', 'poda', { gracePeriodSeconds: 0 });
    await expect(client.get(pods, 'default', 'poda')).rejects.toMatchObject({ code: 'NotFound' });
  });

  it('serves a cache with a field selector, through broken watches and a lost history', async () => {
    const stop = new AbortController();
    const informer = new Informer({
      ...{ api: client, resource: migrationRequests, log: silent, clock: process.clock },
      selection: { fieldSelector: 'status.target.nodeName=n' },
    });
    const following = informer.run(stop.signal);
    await informer.synced;
    const { metadata } = await fixture.make();
    const to = (nodeName: string) =>
      fixture.merge(metadata.name, { status: { target: { nodeName } } }, 'status');
    const has = () => expect.poll(() => informer.list().length, { interval: 5 });
    await to('n');
    await has().toBe(1);
    server.breakWatches();
    store.compact();
    await to('m');
    await has().toBe(0);
    await to('n');
    await has().toBe(1);
    stop.abort();
    await following;
  });

  it('loses requests when a connection is cut, and refuses connections while it is down', async () => {
    const connection = server.connection('test');
    connection.cut(20_000);
    await expect(fixture.make()).rejects.toMatchObject({ code: 'RequestTimeout' });
    server.heal();
    server.stop(1000);
    await expect(fixture.make()).rejects.toBeInstanceOf(ConnectionError);
    server.heal();
    await fixture.make();
  });
});
