// SPDX-License-Identifier: Apache-2.0
// Pods of a StatefulSet move: real StatefulSet and garbage collector controllers, and the chart's policy on names.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { migrationRequests, nodes, ownFaults, pods, type Pod } from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { suiteControllerManager } from './controller-manager.ts';
import { aNodeOf, created } from './moving.ts';
import {
  cancelSecond,
  carryOut,
  land,
  moveOn,
  namePolicy,
  prepareSecond,
  secondOf,
} from './two-moves.ts';
import { failOnce, podTemplate, statefulSets, Workloads, type Workload } from './workloads.ts';

const moves = migrationRequests;
const anyText = expect.any(String) as string;

export function statefulSetSuite(cluster: () => Cluster): void {
  describe('a pod of a StatefulSet', { timeout: 120_000 }, () => {
    const manager = suiteControllerManager(cluster);
    const policy = namePolicy(cluster);
    const needs = (skip: (why: string) => void): void => {
      const why = manager().lack ?? policy.lack;
      if (why !== undefined) skip(why);
    };

    beforeAll(async () => {
      await cluster().addNode('c', 'rxe-1');
    });
    afterAll(async () => {
      await cluster().client.delete(nodes, '', 'c');
    });
    afterEach(() => ownFaults(undefined));

    const read = (name: string): Promise<Workload> =>
      cluster().client.get(statefulSets, 'default', name);

    /** Runs a StatefulSet of 2, and sees every state of its pods. */
    async function running(
      name: string,
      by: (w: Workloads, first: Pod) => Promise<void>,
      spec: object = {},
    ): Promise<void> {
      const c = cluster();
      const w = new Workloads(c, name);
      await w.start();
      try {
        const selector = { matchLabels: { app: name } };
        const own = { serviceName: name, replicas: 2, selector, template: podTemplate(name) };
        const body = { metadata: { name }, spec: { ...own, ...spec } };
        await c.client.create(statefulSets, 'default', body);
        await w.ready(2);
        const counted = async () => (await read(name)).status;
        await eventually(counted).toMatchObject({ readyReplicas: 2 });
        await by(w, (await c.pod(`${name}-0`))!);
      } finally {
        if (await c.find(statefulSets, name)) await c.client.delete(statefulSets, 'default', name);
        await w.stop();
      }
    }

    /** UIDs of all pods of that name that there were. */
    const uidsOf = (w: Workloads, name: string): number => w.uidsOf(name).size;

    it('is not touched where its name cannot be reserved', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await running('bare', async (w, before) => {
        const timeouts = { prepareSeconds: 10 };
        await c.migrate('bare', 'bare-0', { timeouts });
        const landing = await created(c, 'bare');
        const { status } = await c.client.get(moves, 'default', 'bare');
        await c.bind(landing, aNodeOf(status));
        await c.target(moves, 'bare', { state: 'AtCreateGate' });
        await expect
          .poll(async () => (await c.find(moves, 'bare'))?.status, { timeout: 30_000 })
          .toMatchObject({ decision: { outcome: 'Aborted', reason: 'NameNotReserved' } });
        await c.target(moves, 'bare', { state: 'TornDown' });
        const end = await c.until(moves, 'bare', ended('Failed'));
        expect(end.status.deadlines?.blackout).toBeUndefined();
        await c.untouched(before);
        expect(w.names).toEqual(new Set(['bare-0', 'bare-1', landing]));
      });
    });

    describe('whose name is reserved', () => {
      beforeAll(() => policy.install());
      afterAll(() => policy.uninstall());

      it.for(['OrderedReady', 'Parallel'])(
        'moves by way of a landing pod and keeps its name, also if a write fails: %s',
        async (podManagementPolicy, { skip }) => {
          needs(skip);
          const c = cluster();
          const name = podManagementPolicy.toLowerCase();
          await running(
            name,
            async (w, before) => {
              const pod = `${name}-0`;
              const points = ['create-second-move', 'attach-target', 'delete-source'];
              const left = failOnce(...points.map((one) => `operator.${one}`));
              const landing = await land(c, name, pod);
              expect(landing).not.toBe(pod);
              expect((await c.pod(landing))?.spec.nodeName).not.toBe('a');
              const second = await moveOn(c, name, landing, pod);
              const { status } = await c.until(moves, name, ended('Succeeded'));
              expect(left, 'each write failed once').toEqual(new Set());
              const after = (await c.pod(pod))!;
              const { target } = (await c.client.get(moves, 'default', second)).status ?? {};
              expect(after.metadata.uid, 'the operator has made it').toBe(target?.podUID);
              expect(after.spec.nodeName).toBe(status.secondMove?.nodeName);
              expect(['b', 'c']).toContain(after.spec.nodeName);
              const [owner, ...others] = after.metadata.ownerReferences;
              expect(owner).toEqual(before.metadata.ownerReferences[0]);
              expect(others).toEqual([]);
              const own = { hostname: pod, subdomain: name };
              const raw = await c.client.getRaw(pods, 'default', pod);
              expect((raw as { spec: object }).spec).toMatchObject(own);
              await eventually(() => c.pod(landing)).toBeUndefined();
              const counted = async () => (await read(name)).status;
              await eventually(counted).toMatchObject({ replicas: 2, readyReplicas: 2 });
              expect(w.names, 'no pod was made beside it').toEqual(
                new Set([pod, `${name}-1`, landing]),
              );
              expect(uidsOf(w, pod), 'no pod of that name was made from nothing').toBe(2);
              expect(uidsOf(w, `${name}-1`)).toBe(1);
            },
            { podManagementPolicy },
          );
        },
      );

      it('comes back to its own node by way of another one', async ({ skip }) => {
        needs(skip);
        const c = cluster();
        await running('back', async (w) => {
          const landing = await land(c, 'back', 'back-0', { targetNodeName: 'a' });
          await moveOn(c, 'back', landing, 'back-0');
          await c.until(moves, 'back', ended('Succeeded'));
          expect((await c.pod('back-0'))?.spec.nodeName).toBe('a');
          expect(uidsOf(w, 'back-0')).toBe(2);
        });
      });

      it('stays on its landing pod until a second move succeeds', async ({ skip }) => {
        needs(skip);
        const c = cluster();
        await running('again', async (w) => {
          const landing = await land(c, 'again', 'again-0');
          const first = await secondOf(c, 'again');
          await prepareSecond(c, first);
          await cancelSecond(c, manager(), first);
          await c.until(moves, 'again', { phase: 'Resuming' });
          // The set wants its pod all the time.
          const counted = async () => (await read('again')).status;
          await eventually(counted).toMatchObject({ replicas: 1 });
          expect((await c.pod('again-0')) === undefined, 'none was made').toBe(true);
          expect((await c.pod(landing))?.metadata.deletionTimestamp).toBeUndefined();
          await expect
            .poll(async () => (await c.find(moves, 'again'))?.status?.secondMove?.attempt, {
              timeout: 40_000,
            })
            .toBe(2);
          const second = await secondOf(c, 'again', 2);
          await prepareSecond(c, second);
          await carryOut(c, second, landing, 'again-0');
          await c.until(moves, 'again', ended('Succeeded'));
          await eventually(counted).toMatchObject({ replicas: 2, readyReplicas: 2 });
          expect(uidsOf(w, 'again-0'), 'the source, two targets').toBe(3);
        });
      });

      it('is made from nothing once its landing pod is gone, and not before', async ({ skip }) => {
        needs(skip);
        const c = cluster();
        await running('lost', async (w) => {
          failOnce('operator.delete-landing');
          const landing = await land(c, 'lost', 'lost-0');
          const keep = { metadata: { finalizers: ['example.com/keep'] } };
          await c.client.merge(pods, 'default', landing, keep);
          await prepareSecond(c, await secondOf(c, 'lost'));
          const second = await secondOf(c, 'lost');
          // Its container ends and is started from nothing.
          const later = new Date(Date.now() + 2000).toISOString();
          await c.target(moves, 'lost', { state: 'Running', resumedAt: later });
          const lastState = { terminated: { exitCode: 1, reason: 'Error', finishedAt: later } };
          const status = {
            ...{ name: 'main', ready: true, restartCount: 1, image: 'x', imageID: '' },
            ...{ started: true, state: { running: { startedAt: later } }, lastState },
          };
          await c.podStatus(landing, { containerStatuses: [status] });
          await eventually(async () => (await c.pod(landing))?.metadata.deletionTimestamp).toEqual(
            anyText,
          );
          await c.until(moves, second, { decision: { outcome: 'Aborted' } });
          await c.source(moves, second, { state: 'Lost' });
          await c.target(moves, second, { state: 'TornDown' });
          await c.until(moves, second, ended('Failed'));
          await c.until(moves, 'lost', { phase: 'Resuming' });
          expect(await c.pod('lost-0'), 'the landing pod is still there').toBeUndefined();
          await c.client.merge(pods, 'default', landing, { metadata: { finalizers: null } });
          await c.until(moves, 'lost', { ...ended('Failed'), ...failed('TargetLost') });
          // The controller tries again less and less often.
          await expect
            .poll(async () => controllerOf((await c.pod('lost-0'))!)?.kind, { timeout: 60_000 })
            .toBe('StatefulSet');
          expect(uidsOf(w, 'lost-0'), 'the source, one target, and the new one').toBe(3);
        });
      });

      it('takes part in a rollout that begins meanwhile', async ({ skip }) => {
        needs(skip);
        const c = cluster();
        await running('roll', async (w) => {
          const landing = await land(c, 'roll', 'roll-0');
          const template = podTemplate('roll', { containers: [{ name: 'main', image: 'y' }] });
          await c.client.merge(statefulSets, 'default', 'roll', { spec: { template } });
          await moveOn(c, 'roll', landing, 'roll-0').catch(() => undefined);
          await c.until(moves, 'roll', {
            phase: expect.stringMatching(/Succeeded|Failed/) as string,
          });
          const counted = async () => (await read('roll')).status;
          await expect.poll(counted, { timeout: 30_000 }).toMatchObject({
            ...{ replicas: 2, readyReplicas: 2, updatedReplicas: 2 },
          });
          expect(uidsOf(w, 'roll-0'), 'the source, the moved pod, and the new one').toBe(3);
          expect(uidsOf(w, 'roll-1')).toBe(2);
        });
      });

      it('goes when its set is scaled down meanwhile, and stays when the set leaves it behind', async ({
        skip,
      }) => {
        needs(skip);
        const c = cluster();
        await running('down', async () => {
          const landing = await land(c, 'down', 'down-0');
          await c.client.merge(statefulSets, 'default', 'down', { spec: { replicas: 0 } });
          const second = await secondOf(c, 'down');
          await prepareSecond(c, second);
          await carryOut(c, second, landing, 'down-0').catch(() => undefined);
          await c.until(moves, 'down', {
            phase: expect.stringMatching(/Succeeded|Failed/) as string,
          });
          await eventually(() => c.pod('down-0')).toBeUndefined();
          await eventually(() => c.pod('down-1')).toBeUndefined();
        });
        await running('left', async (w) => {
          const landing = await land(c, 'left', 'left-0');
          await c.client.rest.request({
            method: 'DELETE',
            path: '/apis/apps/v1/namespaces/default/statefulsets/left',
            body: { propagationPolicy: 'Orphan' },
          });
          await eventually(() => c.find(statefulSets, 'left')).toBeUndefined();
          await moveOn(c, 'left', landing, 'left-0');
          await c.until(moves, 'left', ended('Succeeded'));
          expect((await c.pod('left-0'))?.metadata.ownerReferences).toEqual([]);
          // A set of the same name takes both as its own.
          const selector = { matchLabels: { app: 'left' } };
          const spec = {
            serviceName: 'left',
            replicas: 2,
            selector,
            template: podTemplate('left'),
          };
          await c.client.create(statefulSets, 'default', { metadata: { name: 'left' }, spec });
          const counted = async () => (await read('left')).status;
          await eventually(counted).toMatchObject({ replicas: 2, readyReplicas: 2 });
          expect(uidsOf(w, 'left-0')).toBe(2);
        });
      });
    });
  });
}
