// SPDX-License-Identifier: Apache-2.0
// The whole operator against a real API server.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { annotations, labels, podConditions } from '../../crds/src/index.ts';
import {
  checkpointRequests,
  migrationRequests,
  nodes,
  pods,
  silent,
  type Pod,
} from '../../kube/src/index.ts';
import { type Cluster, ended, eventually, failed, macOf, networksOf } from '../testing/cluster.ts';
import { conditionsOf } from '../testing/objects.ts';
import { abortSuite } from '../testing/abort-suite.ts';
import { blackoutSuite } from '../testing/blackout-suite.ts';
import { agentsSuite } from '../testing/agents-suite.ts';
import { controllersSuite } from '../testing/controllers-suite.ts';
import { dryRunSuite } from '../testing/dry-run-suite.ts';
import { lossSuite } from '../testing/loss-suite.ts';
import { memorySuite } from '../testing/memory-suite.ts';
import { created, prepared } from '../testing/moving.ts';
import { queueSuite } from '../testing/queue-suite.ts';
import { restoreSuite } from '../testing/restore-suite.ts';
import { describeOperator } from '../testing/running-operator.ts';
import { checkpointParts } from './checkpoint/reconcile.ts';
import { migrationParts } from './migration/reconcile.ts';

const moves = migrationRequests;
const saves = checkpointRequests;
const at = (ms: number): string => new Date(ms).toISOString();
const committedOf = (pod: Pod | undefined): string | undefined =>
  pod?.status.conditions.find((one) => one.type === podConditions.committed)?.status;
const time = (seconds: number): string => at(Date.now() + seconds * 1000);
const acceptedLast = (a: string, b: string): number =>
  Number(a.includes('ing')) - Number(b.includes('ing'));

describeOperator((cluster) => {
  let c: Cluster;
  beforeAll(() => {
    c = cluster();
  });

  it('moves a pod', async () => {
    const source = await c.run('one', { ip: '10.99.0.1' });
    const request = await c.migrate('one', 'one');
    const name = await created(c, 'one');
    const made = await c.pod(name);
    expect(made?.metadata.labels, 'policies find it').toEqual({
      ...{ app: 'one', [labels.role]: 'target', [labels.fabricIp]: 'kept' },
    });
    expect(made?.spec.readinessGates).toEqual([{ conditionType: podConditions.committed }]);
    expect(committedOf(made), 'no Service finds it').toBeUndefined();
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
    const held = Date.now();
    const reported = {
      steps: [{ name: 'hold' as const, startTime: at(held), endTime: at(held + 100) }],
      bytes: { pages: 4096 },
    };
    await c.source(moves, 'one', { ...reported, state: 'Sent' });
    await c.target(moves, 'one', { state: 'AtResumeGate' });
    await c.untouched(source);

    await c.commit(moves, 'one');
    await c.target(moves, 'one', { state: 'Answering' });
    await eventually(async () => committedOf(await c.pod(name))).toBe('True');
    await c.untouched(source);
    await c.source(moves, 'one', { ...reported, state: 'Gone' });
    await eventually(() => c.pod('one')).toBeUndefined();
    await eventually(async () => (await c.pod(name))?.metadata.labels).toEqual({
      ...{ app: 'one', [labels.fabricIp]: 'kept' },
    });
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
    const moved = await c.pod(name);
    expect(moved?.metadata.annotations[annotations.migration]).toBeUndefined();
    expect(moved?.metadata.ownerReferences).toEqual([]);
    await c.client.delete(moves, 'default', 'one');
    await eventually(() => c.find(moves, 'one')).toBeUndefined();
    const kept = await c.podRuns(name);

    // It can be migrated again, and its name stays short.
    const back = await c.migrate('one-back', name, { targetNodeName: 'a' });
    const again = await created(c, 'one-back');
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
    const made = await c.pod(await created(c, 'many'));
    const { spec } = (await c.client.getRaw(pods, 'default', made?.metadata.name ?? '')) as {
      spec: { initContainers: object[]; containers: object[] };
    };
    expect(spec.initContainers).toEqual([
      expect.objectContaining({ name: 'side', restartPolicy: 'Always' }),
    ]);
    expect(spec.initContainers[0]).not.toHaveProperty('startupProbe');
    expect(spec.containers).toMatchObject([
      { name: 'main', livenessProbe: { initialDelaySeconds: 120 } },
      { name: 'last', livenessProbe: { initialDelaySeconds: 120 } },
    ]);
    await c.client.delete(moves, 'default', 'many');
    await eventually(() => c.find(moves, 'many')).toBeUndefined();
  });

  describe('a pod with a dot in its name', () => {
    const kubelet = (kubeletVersion: string): Promise<unknown> => {
      const status = { nodeInfo: { kubeletVersion } };
      return c.client.merge(nodes, '', 'b', { status }, { subresource: 'status' });
    };

    it('keeps its host name', async () => {
      await c.run('dotted.name');
      const target = await c.pod(await prepared(c, 'dotted', 'dotted.name'));
      expect([target?.spec.hostname, target?.spec.hostnameOverride]).toEqual([
        undefined,
        'dotted.name',
      ]);
      await c.client.delete(moves, 'default', 'dotted');
      await c.until(moves, 'dotted', { decision: { reason: 'Cancelled' } });
      await c.source(moves, 'dotted', { state: 'Resumed' });
      await c.podGone(target?.metadata.name ?? '');
      await eventually(() => c.find(moves, 'dotted')).toBeUndefined();
    });

    it('is not moved to a kubelet that would give it another one', async () => {
      await c.run('late.name');
      await kubelet('v1.34.2');
      await c.migrate('late-name', 'late.name');
      const { status } = await c.until(moves, 'late-name', failed('NoCompatibleNode'));
      const why = status.conditions?.find((one) => one.type === 'Succeeded')?.message;
      expect(why).toContain('node b has a kubelet (v1.34.2)');
      await kubelet('');
    });
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

  it('continues where another operator has stopped', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'sealift-fault-'));
    process.env['SEALIFT_FAULT_DIR'] = directory;
    writeFileSync(join(directory, 'operator.create-target.after'), 'throw');
    const source = await c.run('again');
    const request = await c.migrate('again', 'again');
    const target = await created(c, 'again');
    const { status } = await c.until(moves, 'again', { phase: 'Preparing' });
    await c.stopOperator();
    rmSync(directory, { recursive: true });
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

  abortSuite(() => c);
  restoreSuite(() => c);
  lossSuite(() => c);
  dryRunSuite(() => c);
  queueSuite(() => c);
  controllersSuite(() => c);
  agentsSuite(() => c);
  memorySuite(() => c);
  blackoutSuite(() => c);
});
