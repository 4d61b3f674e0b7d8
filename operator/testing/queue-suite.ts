// SPDX-License-Identifier: Apache-2.0
// Limits of migrations under way, with a real API server.
import { describe, expect, it } from 'vitest';
import { migrationPolicies, migrationRequests, pods } from '../../kube/src/index.ts';
import { ended, eventually, type Cluster } from './cluster.ts';
import { conditionsOf } from './objects.ts';

const moves = migrationRequests;

export function queueSuite(cluster: () => Cluster): void {
  describe('with two migrations a node', () => {
    const names = ['q1', 'q2', 'q3', 'q4'];

    it('lets others wait, in order and over a restart', { timeout: 60_000 }, async () => {
      const c = cluster();
      // What other tests have left under way counts too.
      await c.stopOperator();
      for (const one of await c.migrations()) await c.client.delete(moves, 'default', one);
      c.startOperator();
      await eventually(() => c.migrations()).toEqual([]);
      await c.stopOperator();
      for (const name of names) await c.run(name);
      for (const name of names) await c.migrate(name, name);
      c.startOperator({ limits: { cluster: 5, perNode: 2 } });
      const reasons = async (): Promise<string[]> =>
        Promise.all(
          names.map(async (name) => {
            const found = (await c.find(moves, name))?.status;
            const reason = conditionsOf(found?.conditions)['Succeeded']?.replace('Unknown ', '');
            return `${reason ?? ''} ${found?.queue?.position ?? ''}`.trim();
          }),
        );
      await eventually(reasons).toEqual(['Accepted', 'Accepted', 'Queued 1', 'Queued 2']);
      const third = await c.find(moves, 'q3');
      expect(third?.status).toMatchObject({ phase: 'Pending', queue: { waitsFor: 'SourceNode' } });
      expect(third?.status?.target, 'nothing is created for it').toBeUndefined();
      const text = third?.status?.conditions?.find((one) => one.type === 'Succeeded')?.message;
      expect(text).toMatch(/position 1 .* 2 migrations are under way from node a, the limit is 2/);

      await c.stopOperator();
      await c.client.merge(moves, 'default', 'q1', { spec: { cancel: true } });
      c.startOperator({ limits: { cluster: 5, perNode: 2 } });
      await c.until(moves, 'q1', ended('Cancelled'));
      await eventually(async () => (await reasons())[2]).toBe('Accepted');
      expect((await c.find(moves, 'q3'))?.status?.queue).toBeUndefined();
      expect((await reasons())[3]).toMatch(/^Queued/);

      await c.client.merge(moves, 'default', 'q4', { spec: { cancel: true } });
      await c.until(moves, 'q4', ended('Cancelled'));
      for (const name of names) await c.client.delete(moves, 'default', name);
      await eventually(() => c.migrations()).toEqual([]);
      await c.stopOperator();
      c.startOperator();
    });

    it.each(['63Ki', '64 Mi', '1e9', '0'])(
      'is told by name that a policy’s bandwidth cannot be %s',
      async (bandwidthPerMigration) => {
        const spec = { limits: { bandwidthPerMigration } };
        const made = cluster().client.create(migrationPolicies, '', {
          metadata: { name: 'wrong' },
          spec,
        });
        await expect(made).rejects.toThrow(/spec\.limits\.bandwidthPerMigration/);
      },
    );

    it(
      'lets the more important first, as the user says it and the policy allows',
      { timeout: 60_000 },
      async () => {
        const c = cluster();
        await c.stopOperator();
        const all = ['r1', 'r2', 'r3', 'r4'];
        await c.client.create(migrationPolicies, '', {
          metadata: { name: 'modest' },
          spec: {
            podSelector: { matchLabels: { modest: 'yes' } },
            queuePriority: -1,
            limits: { bandwidthPerMigration: '1.5Gi' },
          },
        });
        for (const name of all) await c.run(name);
        await c.client.merge(pods, 'default', 'r4', { metadata: { labels: { modest: 'yes' } } });
        c.startOperator({ limits: { cluster: 5, perNode: 1 } });
        await c.migrate('r1', 'r1');
        await c.until(moves, 'r1', { source: { nodeName: 'a' } });
        await c.migrate('r2', 'r2');
        await c.migrate('r3', 'r3', { priority: 5 });
        await c.migrate('r4', 'r4', { priority: 10_000 });
        const order = async (): Promise<unknown[]> =>
          Promise.all(
            all.slice(1).map(async (name) => {
              const queue = (await c.find(moves, name))?.status?.queue;
              return [name, queue?.position, queue?.priority];
            }),
          );
        await eventually(order).toEqual([
          ['r2', 2, 0],
          ['r3', 1, 5],
          ['r4', 3, -1],
        ]);
        const text = (await c.find(moves, 'r3'))?.status?.conditions?.[0]?.message;
        expect(text).toMatch(/at position 1 of the queue by its priority 5: /);
        await c.client.merge(moves, 'default', 'r2', { spec: { priority: 6 } });
        await eventually(order).toEqual([
          ['r2', 1, 6],
          ['r3', 2, 5],
          ['r4', 3, -1],
        ]);
        const tooHigh = c.client.merge(moves, 'default', 'r3', { spec: { priority: 10_001 } });
        await expect(tooHigh).rejects.toThrow(/spec\.priority.*10000/);
        await c.client.merge(moves, 'default', 'r1', { spec: { cancel: true } });
        await c.until(moves, 'r2', { source: { nodeName: 'a' } });
        expect((await c.find(moves, 'r3'))?.status?.source).toBeUndefined();
        for (const name of all) await c.client.delete(moves, 'default', name);
        await c.client.delete(migrationPolicies, '', 'modest');
        await eventually(() => c.migrations()).toEqual([]);
        await c.stopOperator();
        c.startOperator();
      },
    );
  });
}
