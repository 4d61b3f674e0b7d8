// SPDX-License-Identifier: Apache-2.0
// Kubernetes' own controllers beside a move, with a real API server and a real kube-controller-manager.
import { describe, expect, it } from 'vitest';
import { migrationRequests, pods, type Pod } from '../../kube/src/index.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { suiteControllerManager } from './controller-manager.ts';
import { created, prepared } from './moving.ts';
import { replicaSets } from './workloads.ts';

const moves = migrationRequests;
export function controllersSuite(cluster: () => Cluster): void {
  describe('a ReplicaSet that is made in the middle of a move', { timeout: 90_000 }, () => {
    const manager = suiteControllerManager(cluster);

    /** Takes every pod that is labelled `app: <name>` and has no controller. */
    async function replicaSet(name: string): Promise<void> {
      const template = {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: 'main', image: 'x' }] },
      };
      const spec = { replicas: 1, selector: { matchLabels: { app: name } }, template };
      await cluster().client.create(replicaSets, 'default', { metadata: { name }, spec });
    }
    const remove = (name: string): Promise<void> =>
      cluster().client.delete(replicaSets, 'default', name);

    const ownersOf = (pod: Pod | undefined): string[] =>
      (pod?.metadata.ownerReferences ?? []).map((one) => one.kind);

    it('takes the source, which is then not moved', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await c.run('early');
      await c.migrate('early', 'early');
      const target = await created(c, 'early');
      await replicaSet('early');
      await eventually(async () => ownersOf(await c.pod('early'))).toEqual(['ReplicaSet']);
      const { status } = await c.until(moves, 'early', {
        ...ended('Failed'),
        ...failed('PodHasController'),
      });
      const why = status.conditions?.find((one) => one.type === 'Succeeded')?.message;
      expect(why).toContain('ReplicaSet early');
      expect(await c.pod(target)).toBeUndefined();
      expect((await c.pod('early'))?.metadata.deletionTimestamp).toBeUndefined();
      await remove('early');
    });

    it('neither adopts nor deletes a committed target', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await c.run('after');
      const target = await prepared(c, 'after', 'after');
      await c.source(moves, 'after', { state: 'Sent' });
      await c.target(moves, 'after', { state: 'AtResumeGate' });
      await c.commit(moves, 'after');
      await eventually(async () => (await c.pod(target))?.metadata.labels).toEqual({
        app: 'after',
      });
      await replicaSet('after');
      // It counts the source alone. Were the target its too, it would delete the one that is not ready.
      await eventually(async () => ownersOf(await c.pod('after'))).toEqual(['ReplicaSet']);
      await c.source(moves, 'after', { state: 'Gone' });
      await eventually(() => c.pod('after')).toBeUndefined();
      const replacement = async (): Promise<number> => {
        const { items } = await c.client.list(pods, { labelSelector: 'app=after' });
        return items
          .map((one) => pods.parse(one))
          .filter((one) => ownersOf(one)[0] === 'ReplicaSet').length;
      };
      await eventually(replacement).toBe(1);
      const kept = await c.pod(target);
      expect(ownersOf(kept)).toEqual(['Namespace']);
      expect(kept?.metadata.deletionTimestamp).toBeUndefined();
      await remove('after');
      await c.target(moves, 'after', { state: 'Running' });
      await c.until(moves, 'after', ended('Succeeded'));
      // The request says first that it has ended.
      await eventually(async () => ownersOf(await c.pod(target))).toEqual([]);
    });
  });
}
