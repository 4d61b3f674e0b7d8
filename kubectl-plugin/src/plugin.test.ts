// SPDX-License-Identifier: Apache-2.0
// The commands against a real API server. The test writes what operator and agents would write.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  annotations,
  evacuationRequest,
  fieldManagers,
  labels,
  type MigrationRequest,
} from '../../crds/src/index.ts';
import {
  checkpointRequests,
  migrationRequests,
  nodes,
  pods,
  writeStatus,
  type Resource,
} from '../../kube/src/index.ts';
import { binaries, startApiServer, type TestServer } from '../../kube/testing/api-server.ts';
import { statuses } from '../testing/requests.ts';
import { follow } from './requests.ts';
import { call, type Printed } from '../testing/terminal.ts';

const found = binaries();
if (found.missing !== undefined) console.warn(`SKIPPED, no API server: ${found.missing}`);
const eventually = <T>(see: () => T): ReturnType<typeof expect.poll<T>> =>
  expect.poll(see, { timeout: 30_000, interval: 50 });

describe.skipIf(found.missing !== undefined)('kubectl sealift', { timeout: 90_000 }, () => {
  let server: TestServer;
  let dir: string;
  const run = (...argv: string[]): Promise<Printed> =>
    call([argv[0] ?? '', '--kubeconfig', server.kubeconfig, ...argv.slice(1)], {
      now: () => Date.now(),
    });

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'sealift-plugin-'));
    server = await startApiServer();
    for (const name of ['a', 'b']) await addNode(name);
  }, 180_000);
  afterAll(async () => {
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  /** One that is Ready, and has Sealift. */
  async function addNode(name: string): Promise<void> {
    const metadata = {
      name,
      labels: { [labels.driverAbi]: 'rxe-5' },
      annotations: { [annotations.agentAddress]: `${name}:7461` },
    };
    await server.client.create(nodes, '', { metadata });
    const status = { conditions: [{ type: 'Ready', status: 'True' }] };
    await server.client.merge(nodes, '', name, { status }, { subresource: 'status' });
    // No controller takes away the taint with which the API server makes every node.
    await server.client.merge(nodes, '', name, { spec: { taints: null } });
  }
  const createPod = (name: string, parts: object = {}, spec: object = {}): Promise<unknown> =>
    server.client.create(pods, 'default', {
      metadata: { name, ...parts },
      spec: {
        ...{
          nodeName: 'a',
          runtimeClassName: 'sealift',
          containers: [{ name: 'main', image: 'x' }],
        },
        ...spec,
      },
    });
  const requests = async (): Promise<MigrationRequest[]> => {
    const { items } = await server.client.list(migrationRequests, { namespace: 'default' });
    return items.map((one) => migrationRequests.parse(one));
  };
  /** Waits for the request of a pod. */
  async function requestFor(podName: string): Promise<MigrationRequest> {
    const find = async (): Promise<MigrationRequest | undefined> =>
      (await requests()).find((one) => one.spec.podName === podName && !one.status);
    await eventually(find).toBeDefined();
    return (await find()) as MigrationRequest;
  }
  async function write(object: MigrationRequest, status: object): Promise<void> {
    await writeStatus(server.client, {
      ...{ resource: migrationRequests, object, manager: fieldManagers.operator },
      ...{ owned: Object.keys(status), status, onConflict: 'retry' },
    });
  }
  const crd = (name: string): Resource<unknown> => ({
    ...{ apiVersion: 'apps/v1', kind: name, plural: `${name.toLowerCase()}s`, namespaced: true },
    parse: (json) => json,
  });

  it('makes a request, and shows a move until it has succeeded', async () => {
    await createPod('trainer');
    const given = ['--to', 'b', '--priority=-5', '--pod-ip-connections=Reset'];
    const running = run('migrate', 'trainer', ...given, '--wait');
    const request = await requestFor('trainer');
    expect(request.spec).toMatchObject({
      ...{ podName: 'trainer', targetNodeName: 'b', dryRun: false, priority: -5 },
      podIPConnections: 'Reset',
    });
    expect(request.metadata.name).toMatch(/^trainer-.{5}$/);
    await write(request, statuses.dumping);
    await write(request, statuses.succeeded);
    const { code, out, error } = await running;
    expect(code).toBe(0);
    expect(out).toBe(
      `migrationrequest.sealift.dev/${request.metadata.name} created\n` +
        `migrationrequest.sealift.dev/${request.metadata.name} Pod trainer-x runs on b. (blackout 4.31 s, 3.0 MiB)\n`,
    );
    expect(error).toContain('resume 800 ms, pod resumed');
  });

  it('ends with 1, and the operator’s own reason, if a move is refused', async () => {
    await createPod('job-pod');
    const running = run('migrate', 'pod/job-pod', '--wait', '-o', 'json');
    await write(await requestFor('job-pod'), statuses.aborted);
    const { code, out, error } = await running;
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      kind: 'MigrationRequest',
      status: { phase: 'Failed' },
    });
    expect(error).toContain('UnsupportedObject: Process 41 (app) uses io_uring.');
  });

  it('ends with 4 when the time is over, and with 130 at Ctrl-C; the request stays', async () => {
    await createPod('slow');
    const { code, error } = await run('migrate', 'slow', '--timeout', '1');
    expect(code).toBe(4);
    expect(error).toMatch(
      /Not ended within 1 s\. slow-\w+ still runs\. Watch it with: kubectl sealift status slow-/,
    );
    const stop = new AbortController();
    const argv = ['migrate', '--kubeconfig', server.kubeconfig, 'slow', '--wait'];
    const running = call(argv, { signal: stop.signal });
    await eventually(
      async () => (await requests()).filter((one) => one.spec.podName === 'slow').length,
    ).toBe(2);
    stop.abort();
    // Before the answer of the API server the request may not be known yet: that is an error of the call.
    expect([130, 3]).toContain((await running).code);
    expect((await requests()).filter((one) => one.spec.podName === 'slow')).toHaveLength(2);
  });

  it('takes the pods of a Deployment and of a StatefulSet, and no others', async () => {
    const template = {
      metadata: { labels: { app: 'web' } },
      spec: { containers: [{ name: 'main', image: 'x' }] },
    };
    const spec = { selector: { matchLabels: { app: 'web' } }, template, serviceName: 'web' };
    const uidOf = (made: unknown): string => (made as { metadata: { uid: string } }).metadata.uid;
    const make = async (kind: string, metadata: object): Promise<string> => {
      const { serviceName, ...rest } = spec;
      const own = kind === 'StatefulSet' ? { ...rest, serviceName } : rest;
      return uidOf(await server.client.create(crd(kind), 'default', { metadata, spec: own }));
    };
    const owner = (kind: string, name: string, uid: string): object => ({
      ownerReferences: [{ apiVersion: 'apps/v1', kind, name, uid, controller: true }],
    });
    const deployment = await make('Deployment', { name: 'web' });
    const set = await make('ReplicaSet', {
      name: 'web-1',
      ...owner('Deployment', 'web', deployment),
    });
    const stateful = await make('StatefulSet', { name: 'db' });
    await createPod('web-1-x', owner('ReplicaSet', 'web-1', set));
    // A rollout has begun to delete it; no kubelet ends it.
    await createPod('web-1-old', owner('ReplicaSet', 'web-1', set));
    await server.client.delete(pods, 'default', 'web-1-old');
    await createPod('db-0', owner('StatefulSet', 'db', stateful));
    await createPod('alone', { labels: { app: 'web' } });
    const there = await run('migrate', 'sts/db', '--to', 'a');
    expect(there).toMatchObject({ code: 0, out: '' });
    expect(there.error).toContain('Pod db-0 runs on node a already, and stays.');
    const { code, out } = await run('migrate', 'deploy/web', 'sts/db', '-o', 'yaml');
    expect(code).toBe(0);
    expect(out).toMatch(/kind: List/);
    expect([...out.matchAll(/podName: (\S+)/g)].map(([, name]) => name)).toEqual([
      'web-1-x',
      'db-0',
    ]);
    expect((await run('migrate', 'deploy/none')).error).toContain(
      'There is no Deployment none in namespace default. Another namespace is chosen with -n.',
    );
    expect((await run('migrate', 'rs/web-1', '-n', 'kube-system')).code).toBe(1);
  });

  it('explains what is in the way of a move, and leaves nothing behind', async () => {
    await createPod('stuck');
    const running = run('explain', 'stuck', '--pod-ip-connections', 'Reset');
    const request = await requestFor('stuck');
    expect(request.spec).toMatchObject({ dryRun: true, podIPConnections: 'Reset' });
    const findings = [
      { reason: 'PodHasController', message: 'The pod belongs to Job j.' },
      { reason: 'UnsupportedObject', message: 'Process 41 (app) in container main uses io_uring.' },
    ];
    const objects = { qp: 2, cq: 2, mr: 1, srq: 0, ah: 0 };
    await write(request, {
      ...statuses.aborted,
      decision: undefined,
      inspection: {
        ...{ findings, objects, bytes: { pages: 2 ** 20, rootfs: 10 }, sendingMs: 1000 },
        lostConnections: 3,
        notes: [{ reason: 'EarlyService', message: 'Service web leads there early.' }],
      },
      policy: { name: 'slow', generation: 1, limits: { bandwidthPerMigration: '1Mi' } },
    });
    const { code, out } = await running;
    expect(code).toBe(1);
    expect(out.trimEnd().split('\n')).toEqual([
      'Pod default/stuck on node a',
      '  cannot be moved: 2 in the way.',
      '  1. PodHasController: The pod belongs to Job j.',
      '  2. UnsupportedObject: Process 41 (app) in container main uses io_uring.',
      '  Note: Service web leads there early.',
      '  It has 2 queue pairs, 2 completion queues, 1 memory region, 0 shared receive queues, 0 address handles,',
      '  1.0 MiB of memory and 10 B of files.',
      '  It would lose 3 TCP connections at its own IP, whose peers get a reset.',
      '  Sending them takes 1.00 s at 1Mi/s, as MigrationPolicy slow allows.',
    ]);
    expect((await requests()).some((one) => one.metadata.uid === request.metadata.uid)).toBe(false);
  });

  it('says of an explanation that takes too long that nothing of it is left', async () => {
    await createPod('silent');
    const { code, error } = await run('explain', 'silent', '--timeout', '1');
    expect(code).toBe(4);
    expect(error).toMatch(
      /Not ended within 1 s\. The requests that were made for this are deleted/,
    );
    expect((await requests()).filter((one) => one.spec.podName === 'silent')).toEqual([]);
  });

  it('does not wait for a request that was deleted before it was watched', async () => {
    const body = { metadata: { name: 'gone' }, spec: { podName: 'gone' } };
    const made = migrationRequests.parse(
      await server.client.create(migrationRequests, 'default', body),
    );
    await server.client.delete(migrationRequests, 'default', 'gone');
    const signal = new AbortController().signal;
    const options = {
      resource: migrationRequests,
      requests: [made],
      seen: () => undefined,
      signal,
    };
    await expect(follow(server.client, { ...options, timeoutSeconds: 20 })).rejects.toMatchObject({
      code: 1,
      message: expect.stringContaining('default/gone') as string,
    });
  });

  it('lists requests, shows one, and writes its timeline', async () => {
    const list = await run('status');
    expect(list.out).toMatch(/^REQUEST +WHAT +PHASE +REASON +BLACKOUT +AGE\n/);
    expect(list.out).toMatch(
      /^mreq\/trainer-\w+ +pod trainer: a -> b +Succeeded +Moved +4\.31 s +\d+s$/m,
    );
    const name =
      (await requests()).find((one) => one.spec.podName === 'trainer')?.metadata.name ?? '';
    expect((await run('status', name)).out).toContain(
      '  * dump          2.00 s  images written, 3.0 MiB',
    );
    const file = join(dir, 'move.json');
    expect((await run('trace', name, '-f', file)).out).toBe(`${file} written\n`);
    const { traceEvents } = JSON.parse(readFileSync(file, 'utf8')) as {
      traceEvents: { name: string }[];
    };
    expect(traceEvents.map((one) => one.name)).toContain('transfer');
    const failed =
      (await requests()).find((one) => one.spec.podName === 'job-pod')?.metadata.name ?? '';
    expect((await run('status', failed)).code).toBe(1);
    expect((await run('status', 'mreq/none')).error).toContain('There is no MigrationRequest none');
    expect((await run('trace', (await requestFor('slow')).metadata.name)).error).toContain(
      'has no steps yet',
    );
  });

  it('cancels what is not decided, and nothing else', async () => {
    const open = await requestFor('slow');
    const { code, out } = await run('cancel', open.metadata.name);
    expect([code, out]).toEqual([
      0,
      `migrationrequest.sealift.dev/${open.metadata.name} cancel requested\n`,
    ]);
    expect(
      (await requests()).find((one) => one.metadata.uid === open.metadata.uid)?.spec.cancel,
    ).toBe(true);
    const name =
      (await requests()).find((one) => one.spec.podName === 'trainer')?.metadata.name ?? '';
    expect(await run('cancel', name)).toMatchObject({
      code: 1,
      error: expect.stringContaining(
        'has ended already (Moved). There is nothing to cancel.',
      ) as string,
    });
  });

  it('takes checkpoints and restores them', async () => {
    await createPod('keep');
    const made = await run('checkpoint', 'keep', '--name', 'saved');
    expect(made).toMatchObject({ code: 0, out: 'checkpointrequest.sealift.dev/saved created\n' });
    expect((await server.client.get(checkpointRequests, 'default', 'saved')).spec.podName).toBe(
      'keep',
    );
    const restored = await run(
      'restore',
      'saved',
      '--pod-name',
      'again',
      '--to',
      'b',
      '-o',
      'json',
    );
    expect(JSON.parse(restored.out)).toMatchObject({
      spec: { checkpointName: 'saved', podName: 'again', targetNodeName: 'b' },
    });
    expect((await run('restore', 'none')).error).toContain('There is no CheckpointRequest none');
  });

  it('drains a node: cordons it, and names the pods that are not Sealift’s', async () => {
    const metadata = pods.parse(await createPod('mine', {}, { nodeName: 'b' })).metadata;
    // An eviction has begun to move it: there is no second request.
    const made = evacuationRequest({ metadata }, 'Eviction');
    await server.client.create(migrationRequests, 'default', made);
    await createPod('theirs', {}, { nodeName: 'b', runtimeClassName: null });
    await createPod('going', {}, { nodeName: 'b' });
    await server.client.delete(pods, 'default', 'going');
    const daemons = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: 'd', uid: 'u' };
    await createPod(
      'd-1',
      { ownerReferences: [{ ...daemons, controller: true }] },
      { nodeName: 'b' },
    );
    const running = run('drain', 'b');
    const request = await requestFor('mine');
    const isCordoned = async (): Promise<boolean> =>
      (await server.client.get(nodes, '', 'b')).spec.unschedulable;
    await eventually(isCordoned).toBe(true);
    await write(request, statuses.succeeded);
    const { code, error } = await running;
    expect(code).toBe(0);
    expect(error).toContain('node/b cordoned');
    expect(error).toMatch(
      /1 pods of node b do not run in Sealift's runtime and stay: default\/theirs\. Evict them/,
    );
    expect(request.metadata.name).toBe(made.metadata.name);
    expect(error).toMatch(/1 pods of node b belong to DaemonSets and stay: default\/d-1\./);
    const asked = (await requests()).map((one) => one.spec.podName);
    expect(asked.filter((one) => ['going', 'd-1'].includes(one))).toEqual([]);
    expect((await run('drain', 'none')).error).toContain('There is no Node none.');
  });

  it('has drained a node when what is left waits for one under another name', async () => {
    await addNode('two');
    await createPod('db-1', {}, { nodeName: 'two' });
    const running = run('drain', 'two');
    const request = await requestFor('db-1');
    await write(request, statuses.waitsForNode);
    const { code, out } = await running;
    expect(code).toBe(0);
    expect(out).toContain('NoNodeForName: Pod trainer-x stands in for pod trainer on b.');
    // Whoever asks for the move itself waits on.
    const name = request.metadata.name;
    const more = await run('status', name, '--timeout', '1');
    expect(more.code).toBe(4);
    expect(more.error).toContain(`kubectl sealift status ${name} -n default --wait`);
    expect(more.error).toContain('stands in for pod trainer');
    await server.client.delete(nodes, '', 'two');
  });

  it('asks for nothing where an option has a wrong value', async () => {
    const before = (await requests()).length;
    const { code } = await run('migrate', 'trainer', '--timeout', 'soon');
    expect([code, (await requests()).length]).toEqual([2, before]);
  });

  it('prints an empty list where there is nothing to move', async () => {
    await addNode('empty');
    const { code, out } = await run('drain', 'empty', '-o', 'json');
    expect([code, JSON.parse(out)]).toEqual([0, { apiVersion: 'v1', kind: 'List', items: [] }]);
    await server.client.delete(nodes, '', 'empty');
  });

  it('examines the cluster', async () => {
    const { code, out, error } = await run('doctor');
    expect(code).toBe(1);
    expect(out).toMatch(/^fault +agent +a +The agent has no Lease agent-a/m);
    expect(out).toMatch(/^ok +definitions/m);
    expect(error).toMatch(/\d+ faults, \d+ warnings/);
    const quiet = await run('doctor', '-q', '-o', 'json');
    const { results } = JSON.parse(quiet.out) as { results: { state: string }[] };
    expect(results.some(({ state }) => state === 'ok')).toBe(false);
  });

  it('completes names of the cluster', async () => {
    const words = ['migrate', '--kubeconfig', server.kubeconfig, 'tr'];
    expect((await call(['__complete', ...words])).out).toBe('trainer\n:4\n');
  });
});
