// SPDX-License-Identifier: Apache-2.0
// Against a real kube-apiserver: what the definitions refuse, who owns which status field, leader
// election, an informer through a restart of the server.
import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fieldManagers, type MigrationRequest } from '../../crds/src/index.ts';
import { binaries, startApiServer, type TestServer } from '../testing/api-server.ts';
import { chartSuite } from '../testing/chart-suite.ts';
import { decisionSuite, definitionsSuite, type Fixture } from '../testing/definitions-suite.ts';
import { kubectlSuite } from '../testing/kubectl-suite.ts';
import { policySuite } from '../testing/policy-suite.ts';
import { namesSuite } from '../testing/names-suite.ts';
import { writersSuite } from '../testing/writers-suite.ts';
import type { Client } from './client.ts';
import { proposeDecision } from './decision.ts';
import { ApiError, isGone, isNotFound } from './errors.ts';
import { EventRecorder } from './events.ts';
import { Informer } from './informer.ts';
import { LeaderElector } from './leader.ts';
import { leases } from './lease.ts';
import { silent } from './logger.ts';
import { migrationRequests, pods } from './resource.ts';
import { writeStatus } from './status-writer.ts';

const found = binaries();
if (found.missing !== undefined) console.warn(`SKIPPED, no API server: ${found.missing}`);

describe.skipIf(found.missing !== undefined)(
  'against a real API server',
  { timeout: 120_000 },
  () => {
    let server: TestServer;
    let client: Client;
    let serial = 0;

    beforeAll(async () => {
      server = await startApiServer();
      client = server.client;
    }, 180_000);
    afterAll(async () => {
      await server?.stop();
    });

    async function make(spec: object = {}): Promise<MigrationRequest> {
      const name = `request-${++serial}`;
      const body = { metadata: { name }, spec: { podName: 'victim', ...spec } };
      return migrationRequests.parse(await client.create(migrationRequests, 'default', body));
    }
    const merge = (
      name: string,
      patch: object,
      subresource?: 'status',
    ): Promise<MigrationRequest> =>
      client.merge(migrationRequests, 'default', name, patch, { subresource });
    const get = (name: string): Promise<MigrationRequest> =>
      client.get(migrationRequests, 'default', name);

    const fixture: Fixture = {
      get client() {
        return client;
      },
      make,
      merge,
      get,
    };
    definitionsSuite(fixture);
    decisionSuite(fixture);
    kubectlSuite(() => server, fixture);

    describe('writeStatus', () => {
      it('keeps fields of other writers, and removes a field that it no longer has', async () => {
        const request = await make();
        const name = request.metadata.name;
        const write = (
          object: MigrationRequest,
          manager: string,
          owned: string[],
          status: object,
        ): Promise<MigrationRequest | undefined> =>
          writeStatus(client, {
            resource: migrationRequests,
            object,
            manager,
            owned,
            status,
            onConflict: 'retry',
          });
        const operator = ['phase', 'source'];

        await write(request, fieldManagers.operator, operator, {
          phase: 'Preparing',
          source: { nodeName: 'a' },
        });
        await write(request, fieldManagers.sourceAgent, ['sourceAgent'], {
          sourceAgent: { state: 'Holding' },
        });
        await write(request, fieldManagers.targetAgent, ['targetAgent'], {
          targetAgent: { state: 'Restoring' },
        });
        await proposeDecision(client, migrationRequests, request, {
          outcome: 'Aborted',
          by: 'x',
          reason: 'Y',
        });
        const all = await get(name);
        expect(all.status).toMatchObject({
          phase: 'Preparing',
          source: { nodeName: 'a' },
          sourceAgent: { state: 'Holding' },
          targetAgent: { state: 'Restoring' },
          decision: { outcome: 'Aborted' },
        });

        await write(all, fieldManagers.operator, operator, { phase: 'Failed' });
        const later = await get(name);
        expect(later.status?.source).toBeUndefined();
        expect(later.status).toMatchObject({ phase: 'Failed', sourceAgent: { state: 'Holding' } });
        expect(
          await write(later, fieldManagers.operator, operator, {
            phase: 'Failed',
            source: undefined,
          }),
        ).toBeUndefined();
        expect((await get(name)).metadata.resourceVersion).toBe(later.metadata.resourceVersion);
      });

      it('refuses fields of other writers', async () => {
        const object = await make();
        await expect(
          writeStatus(client, {
            resource: migrationRequests,
            object,
            manager: 'm',
            owned: ['phase'],
            status: { source: {} },
            onConflict: 'retry',
          }),
        ).rejects.toThrow('does not own');
      });

      it('does not write to another object of the same name', async () => {
        const object = await make();
        const { name } = object.metadata;
        await client.delete(migrationRequests, 'default', name);
        await client.create(migrationRequests, 'default', {
          metadata: { name },
          spec: { podName: 'victim' },
        });
        await expect(
          writeStatus(client, {
            resource: migrationRequests,
            object,
            manager: 'm',
            owned: ['phase'],
            status: { phase: 'Failed' },
            onConflict: 'retry',
          }),
        ).rejects.toMatchObject({ code: 'Conflict' });
      });
    });

    it('connections speak HTTP/1.1, and stay for the next request', async () => {
      const versions: unknown[] = [];
      const note = (message: unknown): void => {
        versions.push((message as { connectParams: { version: string } }).connectParams.version);
      };
      subscribe('undici:client:connected', note);
      try {
        const own = server.connect();
        for (let n = 0; n < 6; n++)
          await own.get(migrationRequests, 'default', 'none').catch(() => undefined);
      } finally {
        unsubscribe('undici:client:connected', note);
      }
      expect([...new Set(versions)]).toEqual(['h1']);
      // A connection may not be free again at once.
      expect(versions.length).toBeLessThanOrEqual(2);
    });

    describe('errors', () => {
      it('have the server’s reason', async () => {
        const error = await get('nothing-there').catch((e: unknown) => e);
        expect(error).toBeInstanceOf(ApiError);
        expect(error).toMatchObject({ code: 'NotFound', status: 404 });
        expect(isNotFound(error)).toBe(true);
      });

      it('say that a watch is too old', async () => {
        const error = await (async () => {
          for await (const _ of client.watch(migrationRequests, '1', {
            signal: AbortSignal.timeout(5000),
          }))
            break;
          return undefined;
        })().catch((e: unknown) => e);
        expect(isGone(error)).toBe(true);
      });

      it('delete succeeds when the object is gone or another', async () => {
        const request = await make();
        await client.delete(migrationRequests, 'default', request.metadata.name, {
          uid: 'another',
        });
        await get(request.metadata.name);
        await client.delete(migrationRequests, 'default', request.metadata.name, {
          uid: request.metadata.uid,
        });
        await client.delete(migrationRequests, 'default', request.metadata.name);
      });
    });

    describe('the recorder', () => {
      it('counts repetitions instead of adding events', async () => {
        const object = await make();
        const recorder = new EventRecorder({ api: client, log: silent, component: 'test' });
        for (let i = 0; i < 3; i++) {
          recorder.record({
            resource: migrationRequests,
            object,
            type: 'Warning',
            reason: 'R',
            message: 'm',
          });
        }
        await recorder.flush();
        const body = (await client.rest.request({
          method: 'GET',
          path: '/api/v1/namespaces/default/events',
          query: { fieldSelector: `involvedObject.uid=${object.metadata.uid}` },
        })) as { items: { count: number; reason: string }[] };
        expect(body.items.map(({ count, reason }) => ({ count, reason }))).toEqual([
          { count: 3, reason: 'R' },
        ]);
      });
    });

    it('the recorder writes an event about an object with the longest name', async () => {
      const recorder = new EventRecorder({ api: client, log: silent, component: 'test' });
      // 253 characters. A cut may leave an end that no name may have.
      const name = `${'a.-'.repeat(84)}b`.replaceAll('.-', '.x');
      const metadata = { name, namespace: 'default', uid: 'longest', resourceVersion: '1' };
      const long = 'x'.repeat(235);
      for (const [index, cut] of [name, `${long}.${'y'.repeat(17)}`, `${long}-y`].entries()) {
        const object = { metadata: { ...metadata, name: cut, uid: `longest-${index}` } };
        const input = { resource: pods, object, type: 'Normal', reason: 'R' } as const;
        recorder.record({ ...input, message: 'm' });
        recorder.record({ ...input, message: 'n' });
        await recorder.flush();
        const body = (await client.rest.request({
          method: 'GET',
          path: '/api/v1/namespaces/default/events',
          query: { fieldSelector: `involvedObject.uid=${object.metadata.uid}` },
        })) as { items: { involvedObject: { name: string } }[] };
        const about = body.items.map((one) => one.involvedObject.name);
        expect(about).toEqual([cut, cut]);
      }
    });

    describe('the elector', () => {
      const quick = {
        leaseMs: 2000,
        renewMs: 1500,
        retryMs: 200,
        log: silent,
        namespace: 'default',
      };
      const elector = (name: string, identity: string): LeaderElector =>
        new LeaderElector({ ...quick, api: client, name, identity });
      const until = (signal: AbortSignal): Promise<void> =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

      it('has one leader, and the next one as soon as the first gives the lease back', async () => {
        const [first, second] = [new AbortController(), new AbortController()];
        const order: string[] = [];
        const a = elector('lease-1', 'a').run(async (signal) => {
          order.push('a+');
          await until(signal);
          order.push('a-');
        }, first.signal);
        await expect.poll(() => order).toEqual(['a+']);
        const b = elector('lease-1', 'b').run(async (signal) => {
          order.push('b+');
          await until(signal);
        }, second.signal);
        await new Promise((resolve) => setTimeout(resolve, 3000));
        expect(order).toEqual(['a+']);
        first.abort();
        expect(await a).toBe('stopped');
        await expect.poll(() => order).toEqual(['a+', 'a-', 'b+']);
        second.abort();
        expect(await b).toBe('stopped');
      });

      it('takes over a lease that its owner does not renew', async () => {
        await client.create(leases, 'default', {
          metadata: { name: 'lease-2' },
          spec: {
            holderIdentity: 'dead',
            leaseDurationSeconds: 1,
            renewTime: '2020-01-01T00:00:00.000000Z',
          },
        });
        const stop = new AbortController();
        let leads = false;
        const run = elector('lease-2', 'b').run(async (signal) => {
          leads = true;
          await until(signal);
        }, stop.signal);
        await expect.poll(() => leads).toBe(true);
        stop.abort();
        await run;
      });

      it('stops leading when another process has the lease', async () => {
        let stopped = false;
        const run = elector('lease-3', 'a').run(async (signal) => {
          await client.merge(leases, 'default', 'lease-3', {
            spec: { holderIdentity: 'thief', leaseDurationSeconds: 60 },
          });
          await until(signal);
          stopped = true;
        }, new AbortController().signal);
        expect(await run).toBe('lost');
        expect(stopped).toBe(true);
      });
    });

    it('kubectl applies the definitions and the examples', async ({ skip }) => {
      const kubectl = join(server.binaries, 'kubectl');
      if (!existsSync(kubectl)) return skip('no kubectl beside the API server');
      const apply = async (...more: string[]): Promise<string[]> => {
        const directory = join(import.meta.dirname, '..', '..', 'crds', ...more.slice(0, 1));
        const args = [
          '--kubeconfig',
          server.kubeconfig,
          'apply',
          '-f',
          directory,
          ...more.slice(1),
        ];
        const { stdout } = await promisify(execFile)(kubectl, args);
        return stdout.trim().split('\n');
      };
      expect((await apply('')).map((line) => line.replace(/ .*/, '')).sort()).toEqual([
        'customresourcedefinition.apiextensions.k8s.io/checkpointrequests.sealift.dev',
        'customresourcedefinition.apiextensions.k8s.io/migrationpolicies.sealift.dev',
        'customresourcedefinition.apiextensions.k8s.io/migrationrequests.sealift.dev',
        'customresourcedefinition.apiextensions.k8s.io/restorerequests.sealift.dev',
      ]);
      expect(await apply('examples', '--dry-run=server')).toEqual([
        'checkpointrequest.sealift.dev/trainer-monday created (server dry run)',
        'migrationrequest.sealift.dev/move-trainer created (server dry run)',
        'migrationpolicy.sealift.dev/trainers created (server dry run)',
        'restorerequest.sealift.dev/trainer-again created (server dry run)',
      ]);
    });

    policySuite(fixture, () => server);
    chartSuite(() => server);
    writersSuite(() => server);
    namesSuite(() => server);

    it('an informer keeps what it is told to keep, as long as it is so', async () => {
      const keep = ({ metadata }: { metadata: { labels: Record<string, string> } }): boolean =>
        metadata.labels['kept'] === 'yes';
      const label = (name: string, kept: string | null) =>
        client.merge(migrationRequests, 'default', name, { metadata: { labels: { kept } } });
      const [early, late] = [await make(), await make()].map(({ metadata }) => metadata.name);
      if (early === undefined || late === undefined) throw new Error('two were made');
      await label(early, 'yes');
      const api = server.connect();
      const informer = new Informer({ api, resource: migrationRequests, log: silent, keep });
      const seen: string[] = [];
      informer.listen((key, after) => seen.push(`${after ? '+' : '-'}${key}`));
      const stop = new AbortController();
      const run = informer.run(stop.signal);
      await informer.synced;
      expect(seen).toEqual([`+default/${early}`]);
      await label(late, 'yes');
      await label(early, null);
      await label(late, 'no');
      await label(late, 'yes');
      const [e, l] = [`default/${early}`, `default/${late}`];
      const all = [`+${e}`, `+${l}`, `-${e}`, `-${l}`, `+${l}`];
      await expect.poll(() => seen).toEqual(all);
      expect(informer.list().map(({ metadata }) => metadata.name)).toEqual([late]);
      stop.abort();
      await run;
    });

    // Last: it restarts the server.
    it('an informer follows through a restart of the server', async () => {
      const api = server.connect();
      const informer = new Informer({ api, resource: migrationRequests, log: silent });
      const seen: string[] = [];
      informer.listen((key, after) => seen.push(`${after ? '+' : '-'}${key}`));
      const stop = new AbortController();
      const run = informer.run(stop.signal);
      await informer.synced;
      const one = await make();
      const key = `default/${one.metadata.name}`;
      await expect.poll(() => informer.get(key)?.metadata.uid).toBe(one.metadata.uid);
      expect(() => Object.assign(informer.get(key) ?? {}, { kind: 'x' })).toThrow(TypeError);

      await server.restart();
      client = server.connect();
      const two = await make();
      await client.delete(migrationRequests, 'default', one.metadata.name);
      await expect
        .poll(
          () => [informer.get(key), informer.get(`default/${two.metadata.name}`)?.metadata.uid],
          { timeout: 60_000 },
        )
        .toEqual([undefined, two.metadata.uid]);
      expect(seen).toContain(`-${key}`);
      stop.abort();
      await run;
    });
  },
);
