// SPDX-License-Identifier: Apache-2.0
// Agents that have gone, with a real API server.
import { describe, expect, it } from 'vitest';
import { agentLease, annotations, labels } from '../../crds/src/index.ts';
import { leases, migrationRequests, nodes, renewLease } from '../../kube/src/index.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';

export function agentsSuite(cluster: () => Cluster): void {
  describe('a node whose agent has gone', () => {
    it('loses its label, and no pod is moved to it', { timeout: 60_000 }, async () => {
      const c = cluster();
      await c.stopOperator();
      const name = 'left';
      await c.client.create(nodes, '', {
        metadata: {
          name,
          labels: { [labels.driverAbi]: 'rxe-1' },
          annotations: { [annotations.agentAddress]: 'left:7461' },
        },
      });
      const heartbeat = {
        ...{ namespace: 'sealift', name: agentLease.name(name), holder: name },
        ...{ durationSeconds: 1, labels: { [labels.agent]: 'true' } },
      };
      await renewLease(c.client, heartbeat, Date.now() + 3_600_000);
      c.startOperator({ namespace: 'sealift' });
      const abi = async (): Promise<string | undefined> =>
        (await c.client.get(nodes, '', name)).metadata.labels[labels.driverAbi];
      await expect.poll(abi, { timeout: 30_000, interval: 500 }).toBeUndefined();
      const others = await c.client.get(nodes, '', 'a');
      expect(others.metadata.labels[labels.driverAbi], 'has the time of a Lease').toBe('rxe-1');
      await c.run('stays');
      await c.migrate('stays', 'stays', { targetNodeName: name });
      await c.until(migrationRequests, 'stays', {
        ...ended('Failed'),
        ...failed('TargetNodeNotReady'),
      });
      await c.client.delete(leases, 'sealift', agentLease.name(name));
      await c.client.delete(nodes, '', name);
      await c.client.delete(migrationRequests, 'default', 'stays');
      await eventually(() => c.find(migrationRequests, 'stays')).toBeUndefined();
      await c.stopOperator();
      c.startOperator();
    });
  });
}
