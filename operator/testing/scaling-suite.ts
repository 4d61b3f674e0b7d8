// SPDX-License-Identifier: Apache-2.0
// A set gets another size in the middle of the move of one of its pods: by a user, and by a real HorizontalPodAutoscaler. That one
// has no metrics here; it brings the size between its bounds without any, by the same subresource `scale`.
import { afterEach, describe, expect, it } from 'vitest';
import { annotations } from '../../crds/src/index.ts';
import { migrationRequests, ownFaults, pods } from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { prepared } from './moving.ts';
import { runSet, type RunningSet } from './sets.ts';
import { carryOut, land, moveOn, suiteOfMoves } from './two-moves.ts';
import { autoscalers, containersEnded } from './workloads.ts';

const moves = migrationRequests;

export function scalingSuite(cluster: () => Cluster): void {
  describe('a set that gets another size in the middle of a move', { timeout: 120_000 }, () => {
    const { needs } = suiteOfMoves(cluster);
    afterEach(() => ownFaults(undefined));

    /** The pod is the first that its ReplicaSet deletes. */
    const cheapest = (name: string): Promise<unknown> =>
      cluster().client.merge(pods, 'default', name, {
        metadata: { annotations: { [annotations.deletionCost]: '-1' } },
      });
    /** A target at its create gate and a frozen source. @returns the target's name */
    async function held(request: string, pod: string): Promise<string> {
      const target = await prepared(cluster(), request, pod);
      await cluster().source(moves, request, { state: 'Dumping' });
      return target;
    }
    const members = async ({ left }: RunningSet): Promise<string[]> => {
      const found = [];
      for (const name of await left()) {
        const pod = await cluster().pod(name);
        if (pod && controllerOf(pod)?.kind !== 'Namespace') found.push(name);
      }
      return found;
    };

    it('has one pod less: another one, and the move goes on', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await runSet(c, ['Deployment', 'less', 3], async (set) => {
        const [first = '', second = '', third = ''] = set.names;
        const target = await held('less', first);
        await cheapest(second);
        await set.change({ replicas: 2 });
        await eventually(() => members(set)).toEqual([first, third].sort());
        await carryOut(c, 'less', first, target);
        await c.until(moves, 'less', ended('Succeeded'));
        await eventually(() => members(set)).toEqual([target, third].sort());
        await eventually(set.status).toMatchObject({ replicas: 2, readyReplicas: 2 });
        expect(set.w.names, 'none was made from nothing').toEqual(new Set([...set.names, target]));
      });
    });

    it('has one pod less: the source, and nothing of the move is left', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await runSet(c, ['Deployment', 'itself', 3], async (set) => {
        const [first = '', ...others] = set.names;
        await cheapest(first);
        await held('itself', first);
        await set.change({ replicas: 2 });
        await c.until(moves, 'itself', { decision: { outcome: 'Aborted', reason: 'SourceGone' } });
        await c.source(moves, 'itself', { state: 'Lost' });
        await c.until(moves, 'itself', { ...ended('Failed'), ...failed('SourceGone') });
        await eventually(set.left).toEqual([...others].sort());
        await eventually(set.status).toMatchObject({ replicas: 2, readyReplicas: 2 });
      });
    });

    it('gets more and fewer pods from a HorizontalPodAutoscaler', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await runSet(c, ['Deployment', 'auto', 2], async (set) => {
        const [first = ''] = set.names;
        const bounds = (least: number, most: number): object => ({
          minReplicas: least,
          maxReplicas: most,
        });
        const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'auto' };
        await c.client.create(autoscalers, 'default', {
          metadata: { name: 'auto' },
          spec: { scaleTargetRef, ...bounds(2, 2) },
        });
        try {
          const target = await held('auto', first);
          await c.client.merge(autoscalers, 'default', 'auto', { spec: bounds(4, 4) });
          await eventually(async () => (await members(set)).length).toBe(4);
          await carryOut(c, 'auto', first, target);
          await c.until(moves, 'auto', ended('Succeeded'));
          await eventually(set.status).toMatchObject({ replicas: 4, readyReplicas: 4 });
          expect(await members(set)).toContain(target);
          expect(set.w.names.size, 'two, the target, and two more').toBe(5);
          // And fewer, while the moved pod moves on.
          const next = await held('auto-2', target);
          for (const one of await members(set)) if (one !== target) await cheapest(one);
          await c.client.merge(autoscalers, 'default', 'auto', { spec: bounds(1, 1) });
          await eventually(() => members(set)).toEqual([target]);
          await carryOut(c, 'auto-2', target, next);
          await c.until(moves, 'auto-2', ended('Succeeded'));
          await eventually(set.left).toEqual([next]);
          await eventually(set.status).toMatchObject({ replicas: 1, readyReplicas: 1 });
          expect(set.w.names.size, 'and the second target').toBe(6);
        } finally {
          await c.client.delete(autoscalers, 'default', 'auto');
        }
      });
    });

    it('is a StatefulSet that loses its other pod, or gets a third one', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await runSet(c, ['StatefulSet', 'ordinal', 2], async (set) => {
        const landing = await prepared(c, 'ordinal', 'ordinal-0');
        await c.source(moves, 'ordinal', { state: 'Dumping' });
        await set.change({ replicas: 1 });
        await eventually(() => c.pod('ordinal-1')).toBeUndefined();
        await carryOut(c, 'ordinal', 'ordinal-0', landing);
        await set.change({ replicas: 2 });
        await moveOn(c, 'ordinal', landing, 'ordinal-0');
        await c.until(moves, 'ordinal', ended('Succeeded'));
        await expect
          .poll(set.status, { timeout: 30_000 })
          .toMatchObject({ replicas: 2, readyReplicas: 2 });
        expect(set.w.uidsOf('ordinal-0').size, 'the source and the moved pod').toBe(2);
        expect(set.w.uidsOf('ordinal-1').size).toBe(2);
        await eventually(set.left).toEqual(['ordinal-0', 'ordinal-1']);
      });
    });

    it('is a StatefulSet that gives up the very ordinal that moves', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await runSet(c, ['StatefulSet', 'last', 2], async (set) => {
        await held('last', 'last-1');
        await set.change({ replicas: 1 });
        await c.until(moves, 'last', { decision: { outcome: 'Aborted', reason: 'SourceGone' } });
        await c.source(moves, 'last', { state: 'Lost' });
        await c.until(moves, 'last', { ...ended('Failed'), ...failed('SourceGone') });
        await eventually(set.left).toEqual(['last-0']);
        // Its place is free again.
        await set.change({ replicas: 2 });
        await expect.poll(set.status, { timeout: 30_000 }).toMatchObject({ readyReplicas: 2 });
        expect(set.w.uidsOf('last-1').size).toBe(2);
      });
      await runSet(c, ['StatefulSet', 'landed', 2], async (set) => {
        const landing = await land(c, 'landed', 'landed-1');
        await set.change({ replicas: 1 });
        await moveOn(c, 'landed', landing, 'landed-1').catch(() => undefined);
        await c.until(moves, 'landed', {
          phase: expect.stringMatching(/Succeeded|Failed/) as string,
        });
        await expect.poll(set.left, { timeout: 30_000 }).toEqual(['landed-0']);
      });
    });

    it.for([
      ['one more', 3, 3],
      ['one less', 1, 1],
      ['none', 0, 0],
    ] as const)('is a Job with %s at a time', async ([_what, parallelism, active], { skip }) => {
      needs(skip);
      const c = cluster();
      const id = `job-${parallelism}`;
      const spec = { completions: 4, parallelism: 2 };
      await runSet(
        c,
        ['Job', id, 2],
        async (set) => {
          const [first = ''] = set.names;
          const target = await held(id, first);
          await set.change({ parallelism });
          if (parallelism > 2) {
            await eventually(set.status).toMatchObject({ active });
            await carryOut(c, id, first, target);
            await containersEnded(c, first, 'Failed');
            await c.until(moves, id, ended('Succeeded'));
            expect(await members(set)).toContain(target);
          } else {
            // It deletes what does not run yet.
            await c.until(moves, id, { decision: { outcome: 'Aborted', reason: 'TargetGone' } });
            await c.source(moves, id, { state: 'Resumed' });
            await c.until(moves, id, { ...ended('Failed'), ...failed('TargetGone') });
          }
          const count = async () => (await set.left()).length;
          await eventually(count).toBe(active);
          const counted = async () => {
            const { active: seen = 0, failed: bad = 0 } = (await set.status()) ?? {};
            return [seen, bad];
          };
          await eventually(counted).toEqual([active, 0]);
        },
        spec,
      );
    });
  });
}
