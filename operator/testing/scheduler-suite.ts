// SPDX-License-Identifier: Apache-2.0
// The scheduler chooses the target's node: by room, and by what pods ask of each other. The operator narrows the choice.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RUNTIME_CLASS, type MigrationRequest } from '../../crds/src/index.ts';
import { migrationRequests as moves, nodes, pods } from '../../kube/src/index.ts';
import { eventually, type Cluster } from './cluster.ts';
import { created } from './moving.ts';
import { Scheduler } from './scheduler.ts';

const ignore = (): void => undefined;
const hostname = 'kubernetes.io/hostname';
const main = (cpu: string): object => ({
  containers: [{ name: 'main', image: 'x', resources: { requests: { cpu } } }],
});
/** No two pods of an application on one node. */
const apart = (app: string): object => ({
  podAntiAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: [
      { topologyKey: hostname, labelSelector: { matchLabels: { app } } },
    ],
  },
});

export function schedulerSuite(cluster: () => Cluster): void {
  describe('the scheduler', () => {
    let c: Cluster;
    let scheduler: Scheduler;

    beforeAll(() => {
      c = cluster();
      scheduler = new Scheduler(c.server);
      if (scheduler.lack === undefined) scheduler.start();
    });
    afterAll(() => scheduler.stop());

    /** A node with Sealift that has room, until its cpus are taken. */
    async function roomy(name: string, cpu: string): Promise<void> {
      await c.addNode(name, 'rxe-1');
      await c.client.merge(nodes, '', name, { metadata: { labels: { [hostname]: name } } });
      const room = { cpu, memory: '8Gi', pods: '110' };
      const status = { capacity: room, allocatable: room };
      await c.client.merge(nodes, '', name, { status }, { subresource: 'status' });
    }
    const fill = async (node: string, app: string, cpu: string): Promise<void> => {
      await c.client.create(pods, 'default', {
        metadata: { name: `fill-${node}`, labels: { app } },
        spec: { nodeName: node, runtimeClassName: RUNTIME_CLASS, ...main(cpu) },
      });
    };
    const remove = async (name: string): Promise<void> => {
      const target = (await c.find(moves, name))?.status?.target?.podName ?? '';
      await c.client.delete(moves, 'default', name);
      await eventually(async () => {
        const pod = await c.pod(target);
        return pod === undefined || pod.metadata.deletionTimestamp !== undefined;
      }).toBe(true);
      // There is no kubelet.
      await c.client.delete(pods, 'default', target, { gracePeriodSeconds: 0 }).catch(ignore);
      await eventually(() => c.find(moves, name)).toBeUndefined();
    };

    it('finds the one node of many that has room', async (test) => {
      test.skip(scheduler.lack !== undefined, scheduler.lack);
      for (let n = 0; n < 20; n++) {
        await roomy(`full-${n}`, '1');
        await fill(`full-${n}`, 'other', '1');
      }
      await roomy('free', '4');
      await c.run('crowd', { spec: main('1') });
      await c.migrate('crowd', 'crowd');
      const target = await created(c, 'crowd');
      const { status } = await c.until(moves, 'crowd', { target: { nodeName: 'free' } });
      expect(status.triedNodes).toBeUndefined();
      expect(status.target).toMatchObject({ agentAddress: 'free:7461', podName: target });
      expect(status.target).not.toHaveProperty('candidates');
      expect((await c.pod(target))?.spec.nodeName).toBe('free');
      await remove('crowd');
    });

    it('keeps pods apart that ask for it', async (test) => {
      test.skip(scheduler.lack !== undefined, scheduler.lack);
      await roomy('taken', '8');
      await fill('taken', 'quorum', '1');
      await roomy('open', '8');
      await fill('free', 'quorum', '1');
      await c.run('quorum', { spec: { ...main('1'), affinity: apart('quorum') } });
      await c.migrate('quorum', 'quorum');
      await c.until(moves, 'quorum', { target: { nodeName: 'open' } });
      await remove('quorum');
    });

    it('is not asked where the user has named a node', async (test) => {
      test.skip(scheduler.lack !== undefined, scheduler.lack);
      await c.run('sent', { spec: main('1') });
      await c.migrate('sent', 'sent', { targetNodeName: 'full-3' });
      const target = await created(c, 'sent');
      await eventually(async () => JSON.stringify((await c.pod(target))?.status)).toContain(
        'Unschedulable',
      );
      expect((await c.find(moves, 'sent'))?.status?.target?.nodeName).toBe('full-3');
      await remove('sent');
    });

    it('keeps the limit of pods that arrive at a node', async (test) => {
      test.skip(scheduler.lack !== undefined, scheduler.lack);
      await c.stopOperator();
      c.startOperator({ limits: { cluster: 100, perNode: 1 } });
      const names = ['l1', 'l2', 'l3'];
      for (const [n, name] of names.entries()) {
        const from = `from-${n}`;
        await roomy(from, '1');
        await c.run(name, { spec: { ...main('1'), nodeName: from } });
        await roomy(`room-${n}`, '2');
      }
      await Promise.all(names.map((name) => c.migrate(name, name)));
      const found = async (): Promise<(MigrationRequest['status'] | undefined)[]> =>
        Promise.all(names.map(async (name) => (await c.find(moves, name))?.status));
      const places = async (): Promise<unknown> =>
        new Set((await found()).map((one) => one?.target?.nodeName ?? '')).add('').size - 1;
      await eventually(places).toBe(3);
      expect(
        (await found()).flatMap((one) => one?.triedNodes ?? []),
        'no wrong try',
      ).toEqual([]);
    });
  });
}
