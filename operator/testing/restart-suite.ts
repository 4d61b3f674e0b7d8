// SPDX-License-Identifier: Apache-2.0
// The controller manager and the operator are stopped and started between any two steps of a move, and a rollout begins in it.
import { describe, expect, it } from 'vitest';
import { migrationRequests, type Pod } from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { aNodeOf, created, prepared } from './moving.ts';
import { runSet, type RunningSet } from './sets.ts';
import { carryOut, land, prepareSecond, secondOf, suiteOfMoves } from './two-moves.ts';
import { containersEnded, podTemplate } from './workloads.ts';

const moves = migrationRequests;
const anyText = expect.any(String) as string;

export function restartSuite(cluster: () => Cluster): void {
  describe('in the middle of a move', { timeout: 180_000 }, () => {
    const { manager, needs } = suiteOfMoves(cluster);

    /** Both are away; meanwhile the nodes do a step; then both come back. */
    async function without(step: () => Promise<unknown>): Promise<void> {
      const c = cluster();
      await manager().stop();
      await c.stopOperator();
      await step();
      manager().start();
      c.startOperator();
    }

    const belongs = (pod: Pod | undefined, kind: string): boolean =>
      pod !== undefined && controllerOf(pod)?.kind === kind;

    it.for([
      ['Deployment', 'ReplicaSet', 'Running'],
      ['Job', 'Job', 'Failed'],
    ] as const)(
      'controllers and operator restart before every step: %s',
      async ([kind, owner, phase], { skip }) => {
        needs(skip);
        const c = cluster();
        const id = `restarts-${kind.toLowerCase()}`;
        await runSet(c, [kind, id, 2], async (set) => {
          const [source = '', other = ''] = set.names;
          await c.migrate(id, source);
          const target = await created(c, id);
          const { status } = await c.client.get(moves, 'default', id);
          await c.bind(target, aNodeOf(status));
          await without(() => c.target(moves, id, { state: 'AtCreateGate' }));
          await c.until(moves, id, { deadlines: { blackout: anyText } });
          await without(() => c.source(moves, id, { state: 'Dumping' }));
          await without(() => c.source(moves, id, { state: 'Sent' }));
          await without(() => c.target(moves, id, { state: 'AtResumeGate' }));
          await without(async () => {
            await c.commit(moves, id);
            await c.target(moves, id, { state: 'Answering' });
            await c.source(moves, id, { state: 'Gone' });
            await containersEnded(c, source, phase);
          });
          await without(async () => {
            await c.podRuns(target);
            await c.target(moves, id, { state: 'Running' });
          });
          await c.until(moves, id, ended('Succeeded'));
          await eventually(async () => belongs(await c.pod(target), owner)).toBe(true);
          await eventually(set.left).toEqual([target, other].sort());
          const counted =
            kind === 'Job' ? { active: 2, ready: 2 } : { replicas: 2, readyReplicas: 2 };
          await expect.poll(set.status, { timeout: 20_000 }).toMatchObject(counted);
          expect(await set.status()).not.toHaveProperty('failed');
          expect(set.w.names, 'no pod was made from nothing').toEqual(
            new Set([...set.names, target]),
          );
        });
      },
    );

    /** A template of another image. */
    const rollOut = (set: RunningSet, app: string): Promise<void> =>
      set.change({ template: podTemplate(app, { containers: [{ name: 'main', image: 'y' }] }) });
    const updated = { replicas: 2, readyReplicas: 2, updatedReplicas: 2 };

    it('a StatefulSet rolls out before the decision', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await runSet(c, ['StatefulSet', 'early', 2], async (set) => {
        // A rollout begins with the last one.
        await prepared(c, 'early', 'early-1');
        await c.source(moves, 'early', { state: 'Dumping' });
        await rollOut(set, 'early');
        await c.until(moves, 'early', { decision: { outcome: 'Aborted', reason: 'SourceGone' } });
        await c.source(moves, 'early', { state: 'Lost' });
        await c.until(moves, 'early', { ...ended('Failed'), ...failed('SourceGone') });
        await expect.poll(set.status, { timeout: 60_000 }).toMatchObject(updated);
        await eventually(set.left).toEqual(['early-0', 'early-1']);
        expect(set.w.uidsOf('early-1').size, 'the old one and the new one').toBe(2);
      });
    });

    it('a StatefulSet rolls out while its pod is on its way to its name', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await runSet(c, ['StatefulSet', 'late', 2], async (set) => {
        const landing = await land(c, 'late', 'late-1');
        const second = await secondOf(c, 'late');
        await prepareSecond(c, second);
        await rollOut(set, 'late');
        // The set gets its pod back first, and then deals with it.
        expect((await c.pod(landing))?.metadata.deletionTimestamp).toBeUndefined();
        expect(set.w.uidsOf('late-0').size).toBe(1);
        await carryOut(c, second, landing, 'late-1').catch(() => undefined);
        await c.until(moves, 'late', {
          phase: expect.stringMatching(/Succeeded|Failed/) as string,
        });
        await expect.poll(set.status, { timeout: 60_000 }).toMatchObject(updated);
        await eventually(set.left).toEqual(['late-0', 'late-1']);
        expect(set.w.uidsOf('late-1').size, 'the source, the moved pod, and the new one').toBe(3);
      });
    });
  });
}
