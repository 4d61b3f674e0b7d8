// SPDX-License-Identifier: Apache-2.0
// Pods of a StatefulSet in a cluster of two nodes (docs/adr/0044): real StatefulSet, garbage collector and disruption controllers,
// the chart's policy on names, and evictions as `kubectl drain` posts them.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { evacuationName } from '../../crds/src/index.ts';
import { migrationRequests, nodes, ownFaults, type Pod } from '../../kube/src/index.ts';
import { ended, eventually, type Cluster } from './cluster.ts';
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
import { evict, MIGRATE, withWebhook } from './webhook.ts';
import { budgets, failOnce, podTemplate, statefulSets, Workloads } from './workloads.ts';

const moves = migrationRequests;
const anyText = expect.any(String) as string;

export function twoNodesSuite(cluster: () => Cluster): void {
  describe('a pod of a StatefulSet on two nodes', { timeout: 240_000 }, () => {
    const manager = suiteControllerManager(cluster);
    const policy = namePolicy(cluster);
    const webhook = withWebhook(cluster);
    const needs = (skip: (why: string) => void): void => {
      const lack = manager().lack ?? policy.lack;
      const why = lack ?? (webhook() ? undefined : 'no helm beside the API server');
      if (why !== undefined) skip(why);
    };
    beforeAll(() => policy.install());
    afterAll(() => policy.uninstall());
    afterEach(async () => {
      ownFaults(undefined);
      await cordon(false);
    });

    const cordon = async (unschedulable: boolean): Promise<void> => {
      await cluster().client.merge(nodes, '', 'a', { spec: { unschedulable } });
    };
    const counted = async (name: string) =>
      (await cluster().client.get(statefulSets, 'default', name)).status;

    async function running(
      name: string,
      replicas: number,
      by: (w: Workloads) => Promise<void>,
    ): Promise<void> {
      const c = cluster();
      const w = new Workloads(c, name);
      await w.start();
      try {
        const template = podTemplate(name) as { metadata: object };
        const spec = {
          ...{ serviceName: name, replicas, selector: { matchLabels: { app: name } } },
          ...{ podManagementPolicy: 'Parallel' },
          template: { ...template, metadata: { ...template.metadata, annotations: MIGRATE } },
        };
        await c.client.create(statefulSets, 'default', { metadata: { name }, spec });
        await w.ready(replicas);
        await eventually(() => counted(name)).toMatchObject({ readyReplicas: replicas });
        await by(w);
      } finally {
        await c.client.delete(statefulSets, 'default', name);
        await w.stop();
      }
    }

    /** The two moves that bring a landing pod back to its node under its name. */
    async function comeBack(c: Cluster, request: string, landing: string, pod: string) {
      const middle = await secondOf(c, request);
      await prepareSecond(c, middle);
      const { status } = await c.client.get(moves, 'default', middle);
      const further = status?.target?.podName ?? '';
      expect(status?.source?.standsInFor).toBe(pod);
      expect(further).not.toBe(pod);
      await carryOut(c, middle, landing, further);
      expect((await c.pod(further))?.spec.nodeName, 'by way of its first node').toBe('a');
      const last = await moveOn(c, middle, further, pod);
      await c.until(moves, middle, ended('Succeeded'));
      await c.until(moves, request, ended('Succeeded'));
      await eventually(() => c.pod(further)).toBeUndefined();
      return { middle, last, further };
    }

    it.for<[string, object]>([
      ['other', {}],
      ['named', { targetNodeName: 'b' }],
    ])(
      'ends on the other one under its own name, also if a write fails: %s',
      async ([name, spec], { skip }) => {
        needs(skip);
        const c = cluster();
        await running(name, 2, async (w) => {
          const pod = `${name}-0`;
          const before = (await c.pod(pod)) as Pod;
          const points = ['create-second-move', 'attach-target', 'delete-source'];
          const left = failOnce(...points.map((one) => `operator.${one}`));
          const landing = await land(c, name, pod, spec);
          expect((await c.pod(landing))?.spec.nodeName).toBe('b');
          const { further } = await comeBack(c, name, landing, pod);
          expect(left, 'each write failed once').toEqual(new Set());
          const after = (await c.pod(pod)) as Pod;
          expect(after.spec.nodeName).toBe('b');
          expect(after.metadata.ownerReferences).toEqual(before.metadata.ownerReferences);
          await eventually(() => c.pod(landing)).toBeUndefined();
          await eventually(() => counted(name)).toMatchObject({ replicas: 2, readyReplicas: 2 });
          expect(w.names).toEqual(new Set([pod, `${name}-1`, landing, further]));
          expect(w.uidsOf(pod).size, 'none of that name was made from nothing').toBe(2);
        });
      },
    );

    it('stays on its landing pod if the way back fails, and is tried again', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await running('retry', 1, async (w) => {
        const landing = await land(c, 'retry', 'retry-0');
        const first = await secondOf(c, 'retry');
        await prepareSecond(c, first);
        await cancelSecond(c, manager(), first);
        expect((await c.pod(landing))?.metadata.deletionTimestamp).toBeUndefined();
        const attempt = async () => (await c.find(moves, 'retry'))?.status?.secondMove?.attempt;
        await expect.poll(attempt, { timeout: 40_000 }).toBe(2);
        const second = await secondOf(c, 'retry', 2);
        await prepareSecond(c, second);
        const further = (await c.client.get(moves, 'default', second)).status?.target?.podName;
        await carryOut(c, second, landing, further ?? '');
        await moveOn(c, second, further ?? '', 'retry-0');
        await c.until(moves, 'retry', ended('Succeeded'));
        expect((await c.pod('retry-0'))?.spec.nodeName).toBe('b');
        expect(w.uidsOf('retry-0').size, 'no pod was made from nothing').toBe(2);
      });
    });

    it('leaves a node that is drained, with its budget, and waits for it as landing pods', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      await running('drained', 3, async (w) => {
        const selector = { matchLabels: { app: 'drained' } };
        const spec = { selector, maxUnavailable: 1 };
        await c.client.create(budgets, 'default', { metadata: { name: 'drained' }, spec });
        const budget = async () => (await c.client.get(budgets, 'default', 'drained')).status;
        await eventually(budget).toMatchObject({ disruptionsAllowed: 1, expectedPods: 3 });
        await cordon(true);
        const left = failOnce('operator.release-landing');
        const pods = ['drained-0', 'drained-1', 'drained-2'];
        const requests: string[] = [];
        for (const pod of pods) {
          const { uid } = ((await c.pod(pod)) as Pod).metadata;
          // As kubectl drain does: again and again until it is not there any more.
          await expect.poll(() => evict(c, pod), { timeout: 30_000 }).toMatch(/^429 .*is moved to/);
          const others = pods.filter((one) => one > pod);
          for (const one of others) {
            expect(await evict(c, one), 'one after another').toMatch(/^429 .*disruption budget/);
          }
          const request = evacuationName(uid);
          requests.push(request);
          const landing = await created(c, request);
          await c.bind(landing, aNodeOf((await c.client.get(moves, 'default', request)).status));
          await c.target(moves, request, { state: 'AtCreateGate' });
          await c.until(moves, request, { deadlines: { blackout: anyText } });
          await carryOut(c, request, pod, landing);
          await c.until(moves, request, {
            conditions: expect.arrayContaining([
              expect.objectContaining({ type: 'Succeeded', reason: 'NoNodeForName' }),
            ]) as unknown,
          });
          expect(await evict(c, pod), 'the drain of it has ended').toMatch(/^404/);
          expect((await c.pod(landing))?.spec.nodeName).toBe('b');
        }
        expect(left).toEqual(new Set());
        expect(w.names.size, 'three pods, three landing pods').toBe(6);
        // The node comes back. Moves per node are limited: the third one waits for its turn.
        await cordon(false);
        const begun = async (): Promise<string[]> => {
          const all = await Promise.all(requests.map((one) => c.find(moves, one)));
          return all.flatMap((one) => (one?.status?.secondMove ? [one.metadata.name] : []));
        };
        const done = new Set<string>();
        while (done.size < 3) {
          const ready = async () => (await begun()).filter((one) => !done.has(one));
          await expect.poll(async () => (await ready()).length, { timeout: 30_000 }).not.toBe(0);
          const [next = ''] = await ready();
          const request = await c.client.get(moves, 'default', next);
          await comeBack(c, next, request.status?.target?.podName ?? '', request.spec.podName);
          done.add(next);
        }
        for (const pod of pods) {
          expect((await c.pod(pod))?.spec.nodeName).toBe('b');
          expect(w.uidsOf(pod).size).toBe(2);
        }
        await eventually(() => counted('drained')).toMatchObject({ replicas: 3, readyReplicas: 3 });
        await c.client.delete(budgets, 'default', 'drained');
      });
    });
  });
}
