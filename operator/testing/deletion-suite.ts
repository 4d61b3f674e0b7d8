// SPDX-License-Identifier: Apache-2.0
// A set is deleted in the middle of the move of one of its pods: the real garbage collector decides what goes with it.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { migrationRequests, ownFaults } from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { prepared } from './moving.ts';
import { runSet } from './sets.ts';
import { carryOut, land, prepareSecond, secondOf, suiteOfMoves } from './two-moves.ts';
import { committed, containersEnded } from './workloads.ts';

const moves = migrationRequests;
const cascades = ['Background', 'Foreground'] as const;
const anyEnd = { phase: expect.stringMatching(/Succeeded|Failed|Cancelled/) as string };

export function deletionSuite(cluster: () => Cluster): void {
  describe('a set that is deleted in the middle of a move', { timeout: 120_000 }, () => {
    const { needs } = suiteOfMoves(cluster);
    afterEach(() => ownFaults(undefined));

    const name = (kind: string, cascade: string, when: string): string =>
      `${kind}-${cascade}-${when}`.toLowerCase();
    /** What a user expects of a deletion that is no orphaning. */
    const goes = async (left: () => Promise<string[]>): Promise<void> => {
      await expect.poll(left, { timeout: 20_000 }).toEqual([]);
      // Nothing makes another one, and nothing was only late.
      await sleep(1500);
      expect(await left()).toEqual([]);
    };

    it.for(
      cascades.flatMap((one) =>
        (['Deployment', 'StatefulSet'] as const).map((k) => [k, one] as const),
      ),
    )(
      'goes with its pods, the target among them, before the decision: %s %s',
      async ([kind, cascade], { skip }) => {
        needs(skip);
        const c = cluster();
        const id = name(kind, cascade, 'early');
        await runSet(c, [kind, id, 2], async (set) => {
          await prepared(c, id, set.names[0] ?? '');
          await c.source(moves, id, { state: 'Dumping' });
          await set.remove(cascade);
          await c.until(moves, id, { decision: { outcome: 'Aborted', reason: 'SourceGone' } });
          await c.source(moves, id, { state: 'Lost' });
          await c.until(moves, id, { ...ended('Failed'), ...failed('SourceGone') });
          await goes(set.left);
          expect(await set.object()).toBeUndefined();
        });
      },
    );

    it.for(cascades)('goes with a Job: %s', async (cascade, { skip }) => {
      needs(skip);
      const c = cluster();
      const id = name('job', cascade, 'held');
      await runSet(c, ['Job', id, 2], async (set) => {
        const target = await prepared(c, id, set.names[0] ?? '');
        await c.source(moves, id, { state: 'Dumping' });
        await set.remove(cascade);
        await c.until(moves, id, { decision: { outcome: 'Aborted', reason: 'TargetGone' } });
        await c.source(moves, id, { state: 'Resumed' });
        await c.until(moves, id, { ...ended('Failed'), ...failed('TargetGone') });
        await goes(set.left);
        expect(set.w.names, 'no pod was made meanwhile').toEqual(new Set([...set.names, target]));
        expect(await set.object()).toBeUndefined();
      });
    });

    it.for(cascades)(
      'leaves alone the target of a source that is gone, and says so: Deployment %s',
      async (cascade, { skip }) => {
        needs(skip);
        const c = cluster();
        const id = name('deployment', cascade, 'late');
        await runSet(c, ['Deployment', id, 2], async (set) => {
          const [source = ''] = set.names;
          const target = await committed(c, id, source);
          // The source goes faster than the operator looks.
          await c.stopOperator();
          await set.remove(cascade);
          await eventually(set.left).toEqual([target]);
          c.startOperator();
          await c.source(moves, id, { state: 'Gone' });
          await c.podRuns(target).catch(() => undefined);
          await c.target(moves, id, { state: 'Running' });
          const { status } = await c.until(moves, id, ended('Succeeded'));
          const text = status.conditions?.find((one) => one.type === 'Succeeded')?.message;
          expect(text).toContain(`delete pod ${target}`);
          await sleep(1500);
          expect(await set.left()).toEqual([target]);
          expect(await set.object()).toBeUndefined();
        });
      },
    );

    it('leaves the moved pod to nobody if it leaves its pods behind: ReplicaSet', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      await runSet(c, ['ReplicaSet', 'rs-orphan', 2], async (set) => {
        const [source = ''] = set.names;
        const target = await committed(c, 'rs-orphan', source);
        await set.remove('Orphan');
        await eventually(set.object).toBeUndefined();
        await c.source(moves, 'rs-orphan', { state: 'Gone' });
        await containersEnded(c, source, 'Running');
        await c.podRuns(target);
        await eventually(() => c.pod(source)).toBeUndefined();
        // The operator that ends the request is another one than the one that saw the ReplicaSet go.
        await c.stopOperator();
        c.startOperator();
        await c.target(moves, 'rs-orphan', { state: 'Running' });
        await c.until(moves, 'rs-orphan', ended('Succeeded'));
        await sleep(1500);
        const moved = await c.pod(target);
        expect(moved?.metadata.deletionTimestamp).toBeUndefined();
        expect(moved?.metadata.ownerReferences).toEqual([]);
        expect(await set.left()).toEqual([target, set.names[1]].sort());
      });
    });

    describe('a StatefulSet whose pod is on its way', () => {
      it.for(cascades)('goes with the landing pod: %s', async (cascade, { skip }) => {
        needs(skip);
        const c = cluster();
        const id = name('landed', cascade, 'sts');
        await runSet(c, ['StatefulSet', id, 2], async (set) => {
          await land(c, id, `${id}-0`);
          const second = await secondOf(c, id);
          await prepareSecond(c, second);
          await set.remove(cascade);
          await c.until(moves, second, { decision: { outcome: 'Aborted' } });
          await c.source(moves, second, { state: 'Lost' });
          await c.target(moves, second, { state: 'TornDown' });
          await c.until(moves, second, ended('Failed'));
          const { status } = await c.until(moves, id, ended('Failed'));
          const message = status.conditions?.find((one) => one.type === 'Succeeded')?.message;
          expect(message).toContain(`StatefulSet ${id} was deleted`);
          await goes(set.left);
          expect(await set.object()).toBeUndefined();
        });
      });

      it.for(cascades)(
        'goes with the pod that has its name again: %s',
        async (cascade, { skip }) => {
          needs(skip);
          const c = cluster();
          const id = name('named', cascade, 'sts');
          await runSet(c, ['StatefulSet', id, 2], async (set) => {
            const landing = await land(c, id, `${id}-0`);
            const second = await secondOf(c, id);
            await prepareSecond(c, second);
            await c.source(moves, second, { state: 'Sent' });
            await c.target(moves, second, { state: 'AtResumeGate' });
            await c.stopOperator();
            await c.commit(moves, second);
            await set.remove(cascade);
            await eventually(set.left).toEqual([`${id}-0`, landing].sort());
            c.startOperator();
            await c.target(moves, second, { state: 'Answering' });
            await c.source(moves, second, { state: 'Gone' });
            await c.podRuns(`${id}-0`).catch(() => undefined);
            await c.target(moves, second, { state: 'Running' });
            await goes(set.left);
            await c.until(moves, second, anyEnd);
            await c.until(moves, id, anyEnd);
          });
        },
      );

      it('leaves the moved pod to nobody if it leaves its pods behind', async ({ skip }) => {
        needs(skip);
        const c = cluster();
        await runSet(c, ['StatefulSet', 'sts-orphan', 2], async (set) => {
          const landing = await land(c, 'sts-orphan', 'sts-orphan-0');
          const second = await secondOf(c, 'sts-orphan');
          await prepareSecond(c, second);
          await set.remove('Orphan');
          await eventually(set.object).toBeUndefined();
          await carryOut(c, second, landing, 'sts-orphan-0');
          await c.until(moves, second, ended('Succeeded'));
          await c.until(moves, 'sts-orphan', ended('Succeeded'));
          await eventually(set.left).toEqual(['sts-orphan-0', 'sts-orphan-1']);
          await sleep(1500);
          const moved = await c.pod('sts-orphan-0');
          expect(moved?.metadata.deletionTimestamp).toBeUndefined();
          expect(moved && controllerOf(moved)).toBeUndefined();
        });
      });

      it('leaves it to nobody, too, if a finalizer of somebody else’s holds the set', async ({
        skip,
      }) => {
        needs(skip);
        const c = cluster();
        const id = 'sts-held';
        await runSet(c, ['StatefulSet', id, 2], async (set) => {
          const landing = await land(c, id, `${id}-0`);
          const second = await secondOf(c, id);
          await prepareSecond(c, second);
          await set.hold(['example.org/held']);
          await set.remove('Orphan');
          await expect
            .poll(async () => (await set.object())?.metadata, { timeout: 20_000 })
            .toMatchObject({
              deletionTimestamp: expect.any(String) as string,
              finalizers: ['example.org/held'],
            });
          await carryOut(c, second, landing, `${id}-0`);
          await c.until(moves, second, ended('Succeeded'));
          await c.until(moves, id, ended('Succeeded'));
          await set.hold([]);
          await eventually(set.object).toBeUndefined();
          await sleep(1500);
          const moved = await c.pod(`${id}-0`);
          expect(moved && controllerOf(moved)).toBeUndefined();
          expect(await set.left()).toEqual([`${id}-0`, `${id}-1`]);
        });
      });
    });
  });
}
