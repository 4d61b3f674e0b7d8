// SPDX-License-Identifier: Apache-2.0
// Pods of a LeaderWorkerSet are refused by the labels that its real operator and webhooks give them, and stay as they are: real
// StatefulSet controller.
import { describe, expect, it } from 'vitest';
import { migrationRequests, pods, type Pod } from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { suiteControllerManager } from './controller-manager.ts';
import { starts, suiteOperator } from './others-operator.ts';
import { podsLeft, podTemplate, resource, statefulSets, Workloads } from './workloads.ts';

const moves = migrationRequests;
const sets = resource('leaderworkerset.x-k8s.io/v1', 'LeaderWorkerSet', 'leaderworkersets');

export function leaderWorkerSetSuite(cluster: () => Cluster): void {
  describe('a pod of a LeaderWorkerSet', { timeout: 120_000 }, () => {
    const operator = suiteOperator(cluster, starts.leaderWorkerSet);
    // After the definitions are there: the garbage collector looks for new ones every 30 s only.
    const manager = suiteControllerManager(cluster);

    async function running(
      name: string,
      restartPolicy: string,
      by: (w: Workloads) => Promise<void>,
    ): Promise<void> {
      const c = cluster();
      const w = new Workloads(c, name);
      await w.start();
      const template = podTemplate(name);
      const leaderWorkerTemplate = { size: 2, restartPolicy, workerTemplate: template };
      try {
        // Its webhooks answer a moment after they listen.
        await eventually(() =>
          c.client
            .create(sets, 'default', {
              metadata: { name },
              spec: { replicas: 1, leaderWorkerTemplate },
            })
            .then(
              () => 'created',
              (error: unknown) => `${String(error)}\n${operator().log}`,
            ),
        ).toBe('created');
        await eventually(() => isReady(w, name)).toBe(true);
        await by(w);
      } finally {
        await c.client.delete(sets, 'default', name).catch(() => undefined);
        await eventually(() => podsLeft(c, name)).toEqual([]);
        await w.stop();
      }
    }

    const isReady = (w: Workloads, name: string): boolean =>
      [`${name}-0`, `${name}-0-1`].every((one) =>
        w.pod(one)?.status.conditions.some((of) => of.type === 'Ready' && of.status === 'True'),
      );

    it.for(['RecreateGroupOnPodRestart', 'None'])(
      'is refused by name, leader and worker alike: %s',
      async (restartPolicy, { skip }) => {
        const why = manager().lack ?? operator().lack;
        if (why !== undefined) return skip(why);
        const c = cluster();
        const name = `lws-${restartPolicy.slice(0, 4).toLowerCase()}`;
        await running(name, restartPolicy, async (w) => {
          const [leader, worker] = [`${name}-0`, `${name}-0-1`];
          const group = {
            'leaderworkerset.sigs.k8s.io/name': name,
            'leaderworkerset.sigs.k8s.io/group-index': '0',
          };
          for (const [one, index, owner] of [
            [leader, '0', name],
            [worker, '1', leader],
          ] as const) {
            const before = (await c.pod(one)) as Pod;
            expect(before.metadata.labels).toMatchObject({
              ...group,
              'leaderworkerset.sigs.k8s.io/worker-index': index,
            });
            expect(controllerOf(before)).toMatchObject({ kind: 'StatefulSet', name: owner });
            await c.migrate(one, one);
            const { status } = await c.until(moves, one, {
              ...ended('Failed'),
              ...failed('UnsupportedPod'),
            });
            const told = status.conditions?.find((of) => of.type === 'Succeeded')?.message;
            expect(told).toContain(`leaderworkerset.sigs.k8s.io/name=${name}`);
            await c.untouched(before);
          }
          // What the refusal says of the workers' StatefulSet.
          const workers = await c.find(statefulSets, leader);
          const reference = { kind: 'Pod', name: leader, controller: true };
          expect(workers).toMatchObject({
            metadata: { ownerReferences: [expect.objectContaining(reference) as unknown] },
          });
          expect(w.names).toEqual(new Set([leader, worker]));
        });
      },
    );

    it('goes with its whole group when it is deleted, which is why it is refused', async ({
      skip,
    }) => {
      const why = manager().lack ?? operator().lack;
      if (why !== undefined) return skip(why);
      const c = cluster();
      await running('lws-group', 'RecreateGroupOnPodRestart', async (w) => {
        const names = ['lws-group-0', 'lws-group-0-1'];
        const [leader = '', worker = ''] = names;
        const before = w.pod(leader)?.metadata.uid ?? '';
        await c.client.delete(pods, 'default', worker);
        await eventually(() => names.map((one) => w.uidsOf(one).size)).toEqual([2, 2]);
        await eventually(() => isReady(w, 'lws-group')).toBe(true);
        expect((await c.pod(leader))?.metadata.uid).not.toBe(before);
      });
    });
  });
}
