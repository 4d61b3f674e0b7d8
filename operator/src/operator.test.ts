// SPDX-License-Identifier: Apache-2.0
// The whole operator against a real API server.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations, finalizers, labels } from '../../crds/src/index.ts';
import {
  checkpointRequests,
  migrationRequests,
  pods,
  silent,
  type Pod,
} from '../../kube/src/index.ts';
import { binaries } from '../../kube/testing/api-server.ts';
import { Cluster, ended, eventually, failed, macOf, networksOf } from '../testing/cluster.ts';
import { conditionsOf } from '../testing/objects.ts';
import { lossSuite } from '../testing/loss-suite.ts';
import { queueSuite } from '../testing/queue-suite.ts';
import { restoreSuite } from '../testing/restore-suite.ts';
import { checkpointParts } from './checkpoint/reconcile.ts';
import { migrationParts } from './migration/reconcile.ts';

const found = binaries();
if (found.missing !== undefined) console.warn(`SKIPPED, no API server: ${found.missing}`);
const moves = migrationRequests;
const saves = checkpointRequests;
const at = (ms: number): string => new Date(ms).toISOString();
const time = (seconds: number): string => at(Date.now() + seconds * 1000);
const acceptedLast = (a: string, b: string): number =>
  Number(a.includes('ing')) - Number(b.includes('ing'));

describe.skipIf(found.missing !== undefined)('the operator', { timeout: 60_000 }, () => {
  let c: Cluster;

  beforeAll(async () => {
    c = await Cluster.start();
    c.startOperator();
  }, 180_000);
  afterAll(async () => {
    await c?.stop();
  });

  /** Up to a target that waits at its create gate, the blackout begun. @returns the target's name */
  async function prepared(name: string, podName: string, spec: object = {}): Promise<string> {
    await c.migrate(name, podName, spec);
    const target = await created(name);
    await c.bind(target, 'b');
    await c.target(moves, name, { state: 'AtCreateGate' });
    await c.until(moves, name, { deadlines: { blackout: expect.any(String) as string } });
    return target;
  }

  async function created(name: string): Promise<string> {
    const { status } = await c.until(moves, name, {
      target: { podUID: expect.any(String) as string },
    });
    return status.target?.podName ?? '';
  }

  it('moves a pod', async () => {
    const source = await c.run('one', { ip: '10.99.0.1' });
    const request = await c.migrate('one', 'one');
    const name = await created('one');
    const made = await c.pod(name);
    expect(made?.metadata.labels, 'no service finds it').toEqual({ [labels.role]: 'target' });
    expect(made?.metadata.annotations).toMatchObject({
      [annotations.migration]: 'default/one',
      [annotations.requestUid]: request.metadata.uid,
    });
    expect(networksOf(made)).toEqual([
      {
        ...{ name: 'fabric', namespace: 'default', interface: 'net1' },
        ...{ ips: ['10.99.0.1/24'], mac: macOf('10.99.0.1') },
      },
    ]);
    const preparing = await c.until(moves, 'one', { phase: 'Preparing' });
    expect(preparing.status).toMatchObject({
      source: { nodeName: 'a', podUID: source.metadata.uid, agentAddress: 'a:7461' },
      target: { nodeName: 'b', agentAddress: 'b:7461' },
    });
    expect(preparing.status.deadlines?.blackout, 'the source may not hold yet').toBeUndefined();
    await c.untouched(source);

    await c.bind(name, 'b');
    await c.target(moves, 'one', { state: 'Preparing' });
    await c.target(moves, 'one', { state: 'AtCreateGate' });
    const blackout = expect.any(String) as string;
    await c.until(moves, 'one', { deadlines: { blackout } });
    await c.source(moves, 'one', { state: 'Holding' });
    await c.until(moves, 'one', { phase: 'Holding' });
    const held = Date.now();
    const reported = {
      steps: [{ name: 'hold' as const, startTime: at(held), endTime: at(held + 100) }],
      bytes: { pages: 4096 },
    };
    await c.source(moves, 'one', { ...reported, state: 'Sent' });
    await c.target(moves, 'one', { state: 'AtResumeGate' });
    await c.until(moves, 'one', { phase: 'Restoring' });
    await c.untouched(source);

    await c.commit(moves, 'one');
    await c.target(moves, 'one', { state: 'Answering' });
    await eventually(async () => (await c.pod(name))?.metadata.labels['app']).toBe('one');
    await c.untouched(source);
    await c.source(moves, 'one', { ...reported, state: 'Gone' });
    await eventually(() => c.pod('one')).toBeUndefined();
    await eventually(async () => (await c.pod(name))?.metadata.labels).toEqual({ app: 'one' });
    await c.target(moves, 'one', {
      state: 'Running',
      steps: [{ name: 'resume', startTime: time(0.2), endTime: time(2) }],
    });
    const { status } = await c.until(moves, 'one', ended('Succeeded'));
    const { Failed: notFailed, ...others } = conditionsOf(status.conditions);
    expect(notFailed).toBe('False Moved');
    expect(Object.values(others).every((one) => one.startsWith('True'))).toBe(true);
    expect(status.report).toMatchObject({ bytes: { pages: 4096 }, steps: { holdMs: 100 } });
    expect(status.report?.blackoutMs).toBeGreaterThan(1500);
    await eventually(async () => (await c.find(moves, 'one'))?.metadata.finalizers).toEqual([]);
    await eventually(() => c.events(request.metadata.uid)).toContain('Normal Moved');
    expect(await c.events(made?.metadata.uid ?? '')).toContain('Normal Moved');

    // The pod no longer names its request.
    expect((await c.pod(name))?.metadata.annotations[annotations.migration]).toBeUndefined();
    await c.client.delete(moves, 'default', 'one');
    await eventually(() => c.find(moves, 'one')).toBeUndefined();
    const kept = await c.podRuns(name);

    // It can be migrated again, and its name stays short.
    const back = await c.migrate('one-back', name, { targetNodeName: 'a' });
    const again = await created('one-back');
    expect(again).toBe(`one-${back.metadata.uid.slice(0, 5)}`);
    await c.client.delete(moves, 'default', 'one-back');
    await eventually(() => c.find(moves, 'one-back')).toBeUndefined();
    expect(await c.pod(again)).toBeUndefined();
    await c.untouched(kept);
  });

  it('creates a target with the containers that run, and none that has run', async () => {
    const [probe, image] = [{ tcpSocket: { port: 80 } }, 'x'];
    await c.run('many', {
      spec: {
        initContainers: [
          { name: 'setup', image },
          { name: 'side', image, restartPolicy: 'Always', startupProbe: probe },
        ],
        containers: [
          { name: 'main', image, livenessProbe: probe },
          { name: 'last', image, livenessProbe: probe },
        ],
      },
    });
    await c.migrate('many', 'many');
    const made = await c.pod(await created('many'));
    const { spec } = (await c.client.getRaw(pods, 'default', made?.metadata.name ?? '')) as {
      spec: { initContainers: object[]; containers: object[] };
    };
    expect(spec.initContainers).toEqual([
      expect.objectContaining({ name: 'side', restartPolicy: 'Always' }),
    ]);
    expect(spec.initContainers[0]).not.toHaveProperty('startupProbe');
    expect(spec.containers).toMatchObject([
      { name: 'main', livenessProbe: { initialDelaySeconds: 120 } },
      { name: 'last' },
    ]);
    expect(spec.containers[1]).not.toHaveProperty('livenessProbe.initialDelaySeconds');
    await c.client.delete(moves, 'default', 'many');
    await eventually(() => c.find(moves, 'many')).toBeUndefined();
  });

  describe('refuses', () => {
    let serial = 0;
    it.each<[string, object, object, string]>([
      ['an unknown pod', {}, { podName: 'nobody' }, 'PodNotFound'],
      ['a pod of the default runtime', { runtimeClassName: null }, {}, 'NotSealiftRuntime'],
      ['the pod’s own node', {}, { targetNodeName: 'a' }, 'TargetIsSource'],
      ['an unknown node', {}, { targetNodeName: 'nowhere' }, 'TargetNodeNotFound'],
      ['a node with another driver', {}, { targetNodeName: 'old' }, 'NoCompatibleNode'],
      ['a node without a driver', {}, { targetNodeName: 'bare' }, 'NoCompatibleNode'],
      ['a source without a driver', { nodeName: 'bare' }, {}, 'SourceNodeUnavailable'],
      ['a driver that no other node has', { nodeName: 'old' }, {}, 'NoCompatibleNode'],
      ['the host’s network', { hostNetwork: true }, {}, 'UnsupportedPod'],
      [
        'a host path',
        { volumes: [{ name: 'v', hostPath: { path: '/' } }] },
        {},
        'UnsupportedVolume',
      ],
    ])('%s', async (_name, podSpec, spec, reason) => {
      const name = `refused-${++serial}`;
      const source = await c.run(name, { spec: podSpec });
      const request = await c.migrate(name, name, spec);
      const { status } = await c.until(moves, name, { ...ended('Failed'), ...failed(reason) });
      expect(status.conditions?.find((one) => one.type === 'Succeeded')?.message).not.toBe('');
      expect(status.target).toBeUndefined();
      await eventually(() => c.events(request.metadata.uid)).toContain(`Warning ${reason}`);
      await eventually(async () => (await c.find(moves, name))?.metadata.finalizers).toEqual([]);
      await c.untouched(source);
    });

    it('a container that ends again and again', async () => {
      await c.run('loop');
      const waiting = { reason: 'CrashLoopBackOff', message: 'back-off 20s' };
      const container = { name: 'main', ready: false, restartCount: 2, image: 'x', imageID: '' };
      const source = await c.podStatus('loop', {
        containerStatuses: [{ ...container, state: { waiting } }],
      });
      await c.migrate('loop', 'loop');
      await c.until(moves, 'loop', { ...ended('Failed'), ...failed('ContainerCrashLooping') });
      await c.untouched(source);
    });

    it('all but one of several requests for one pod', async () => {
      const source = await c.run('wanted');
      const names = ['w1', 'w2', 'w3', 'w4'];
      await Promise.all([
        ...names.map((name) => c.migrate(name, 'wanted')),
        c.checkpoint('w5', 'wanted'),
      ]);
      const outcomes = async (): Promise<string[]> => {
        const all = [
          ...(await Promise.all(names.map((name) => c.find(moves, name)))),
          await c.find(saves, 'w5'),
        ];
        return all.map((one) => {
          const reason = conditionsOf(one?.status?.conditions)['Succeeded'] ?? '';
          return reason.startsWith('False') ? reason : (one?.status?.phase ?? '');
        });
      };
      const accepted = expect.stringMatching(/Preparing|Checkpointing/) as string;
      await eventually(async () => (await outcomes()).sort(acceptedLast)).toEqual([
        ...Array.from({ length: 4 }, () => 'False AnotherMigration'),
        accepted,
      ]);
      const targets = await c.client.list(pods, { labelSelector: `${labels.role}=target` });
      const made = targets.items
        .map((one) => pods.parse(one))
        .filter((one) => one.metadata.name.startsWith('wanted-'));
      expect(made.length).toBeLessThanOrEqual(1);
      await c.untouched(source);
      for (const name of names) await c.client.delete(moves, 'default', name);
    });
  });

  it('does not accept a request that was observed before another one was accepted', async () => {
    await c.stopOperator();
    await c.migrate('stale-1', 'stale');
    await c.migrate('stale-2', 'stale');
    await c.checkpoint('stale-3', 'stale');
    const dependencies = c.dependencies();
    const moving = migrationParts(dependencies);
    const saving = checkpointParts(dependencies);
    const context = { signal: new AbortController().signal, log: silent };
    const first = await moving.observe('default/stale-1', context);
    const third = await saving.observe('default/stale-3', context);
    const source = { nodeName: 'a' };
    await c.client.merge(
      moves,
      'default',
      'stale-2',
      { status: { source } },
      { subresource: 'status' },
    );
    if (!first || !third) throw new Error('not there');
    const conflict = { code: 'Conflict' };
    await expect(moving.publish({ source }, first, context)).rejects.toMatchObject(conflict);
    await expect(saving.publish({ podUID: 'x' }, third, context)).rejects.toMatchObject(conflict);
    expect((await c.find(moves, 'stale-1'))?.status).toBeUndefined();
    expect((await c.find(saves, 'stale-3'))?.status).toBeUndefined();
    for (const name of ['stale-1', 'stale-2']) await c.client.delete(moves, 'default', name);
    await c.client.delete(saves, 'default', 'stale-3');
    c.startOperator();
  });

  describe('aborts, and the source resumes', () => {
    /** The target is deleted, and the request says why. */
    async function aborted(
      name: string,
      reason: string,
      target: string,
      source: Pod,
    ): Promise<void> {
      const { status, metadata } = await c.until(moves, name, {
        ...ended(reason === 'Cancelled' ? 'Cancelled' : 'Failed'),
        ...failed(reason),
        decision: { outcome: 'Aborted', by: 'operator', reason },
      });
      expect(status.conditions?.find((one) => one.type === 'Succeeded')?.message).not.toBe('');
      expect(await c.pod(target)).toBeUndefined();
      await eventually(() => c.events(metadata.uid)).toContain(`Warning ${reason}`);
      await c.untouched(source);
    }

    it('when there is no room for the target', async () => {
      const source = await c.run('full');
      await c.migrate('full', 'full');
      const target = await created('full');
      const condition = {
        ...{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable' },
        ...{ message: '0/4 nodes are available', lastTransitionTime: time(-60) },
      };
      await c.podStatus(target, { conditions: [condition] });
      await aborted('full', 'TargetUnschedulable', target, source);
    });

    it('when the API server does not admit the target', async () => {
      const resources = { limits: { cpu: '20m' } };
      const containers = [{ name: 'main', image: 'x', resources }];
      const source = await c.run('strict', { spec: { containers } });
      await c.server.create({
        apiVersion: 'v1',
        kind: 'LimitRange',
        metadata: { name: 'small', namespace: 'default' },
        spec: { limits: [{ type: 'Container', max: { cpu: '10m' } }] },
      });
      try {
        await c.migrate('strict', 'strict');
        const { status } = await c.until(moves, 'strict', failed('TargetRejected'));
        expect(status.conditions?.find((one) => one.type === 'Succeeded')?.message).toMatch(
          /maximum cpu usage/,
        );
        await c.untouched(source);
      } finally {
        await c.client.rest.request({
          method: 'DELETE',
          path: '/api/v1/namespaces/default/limitranges/small',
        });
      }
    });

    it('when the restore fails, and waits until the source runs again', async () => {
      const source = await c.run('broken');
      const target = await prepared('broken', 'broken');
      await c.source(moves, 'broken', { state: 'Sent' });
      const reason = 'ImageCorrupt';
      await c.target(moves, 'broken', { state: 'Failed', reason, message: 'pages-1.img' });
      await c.podGone(target);
      await c.until(moves, 'broken', { phase: 'RollingBack', decision: { outcome: 'Aborted' } });
      expect((await c.find(moves, 'broken'))?.status?.completionTime).toBeUndefined();
      await c.source(moves, 'broken', { state: 'Resumed' });
      await aborted('broken', reason, target, source);
    });

    it('when it takes too long', async () => {
      const source = await c.run('slow');
      const target = await prepared('slow', 'slow', { timeouts: { blackoutSeconds: 1 } });
      await c.podGone(target);
      await aborted('slow', 'BlackoutDeadlineExceeded', target, source);
    });

    it('when the target never comes', async () => {
      const source = await c.run('never');
      await c.migrate('never', 'never', { timeouts: { prepareSeconds: 1 } });
      await aborted('never', 'PrepareDeadlineExceeded', await created('never'), source);
    });

    it('when it is cancelled', async () => {
      const source = await c.run('cancelled');
      const target = await prepared('cancelled', 'cancelled');
      await c.client.merge(moves, 'default', 'cancelled', { spec: { cancel: true } });
      await c.podGone(target);
      await aborted('cancelled', 'Cancelled', target, source);
    });

    it('when the request is deleted, whose object stays until everything is cleaned up', async () => {
      const source = await c.run('deleted');
      const target = await prepared('deleted', 'deleted');
      await c.source(moves, 'deleted', { state: 'Dumping' });
      await c.client.delete(moves, 'default', 'deleted');
      await c.podGone(target);
      const { metadata } = await c.until(moves, 'deleted', { decision: { outcome: 'Aborted' } });
      expect(metadata.finalizers).toEqual([finalizers.active]);
      await c.source(moves, 'deleted', { state: 'Resumed' });
      await eventually(() => c.find(moves, 'deleted')).toBeUndefined();
      expect(await c.pod(target)).toBeUndefined();
      await c.untouched(source);
    });

    it('but not after Committed', async () => {
      const source = await c.run('late');
      const target = await prepared('late', 'late');
      await c.source(moves, 'late', { state: 'Sent' });
      await c.commit(moves, 'late');
      await c.client.merge(moves, 'default', 'late', { spec: { cancel: true } });
      await c.client.delete(moves, 'default', 'late');
      await eventually(async () => (await c.pod(target))?.metadata.labels['app']).toBe('late');
      await c.untouched(source);
      await c.target(moves, 'late', { state: 'Running' });
      await eventually(() => c.pod('late')).toBeUndefined();
      await eventually(() => c.find(moves, 'late')).toBeUndefined();
      expect((await c.pod(target))?.metadata.labels).toEqual({ app: 'late' });
    });
  });

  it('continues where another operator has stopped', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sealift-fault-'));
    process.env['SEALIFT_FAULT_DIR'] = folder;
    writeFileSync(join(folder, 'operator.create-target.after'), 'throw');
    const source = await c.run('again');
    const request = await c.migrate('again', 'again');
    const target = await created('again');
    const { status } = await c.until(moves, 'again', { phase: 'Preparing' });
    await c.stopOperator();
    rmSync(folder, { recursive: true });
    delete process.env['SEALIFT_FAULT_DIR'];

    await c.bind(target, 'b');
    await c.target(moves, 'again', { state: 'AtCreateGate' });
    c.startOperator();
    const gated = await c.until(moves, 'again', {
      deadlines: { ...status.deadlines, blackout: expect.any(String) as string },
      target: status.target,
    });
    await c.stopOperator();

    await c.source(moves, 'again', { state: 'Sent' });
    await c.target(moves, 'again', { state: 'AtResumeGate' });
    await c.commit(moves, 'again');
    await c.untouched(source);
    await c.source(moves, 'again', { state: 'Gone' });
    c.startOperator();
    await eventually(() => c.pod('again')).toBeUndefined();
    await c.stopOperator();
    await c.target(moves, 'again', { state: 'Running' });
    c.startOperator();
    const done = await c.until(moves, 'again', ended('Succeeded'));
    expect(done.status.deadlines).toMatchObject(gated.status.deadlines ?? {});
    expect(done.status.startTime).toBe(status.startTime);
    expect(await c.events(request.metadata.uid)).toContain('Normal AtCreateGate');
    expect((await c.pod(target))?.metadata.uid).toBe(status.target?.podUID);
  });

  restoreSuite(() => c);
  lossSuite(() => c);
  queueSuite(() => c);
});
