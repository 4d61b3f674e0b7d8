// SPDX-License-Identifier: Apache-2.0
// A PodDisruptionBudget over a set whose pod moves: the real disruption controller counts, the real webhook answers.
import { afterEach, describe, expect, it } from 'vitest';
import { EventRecorder, migrationRequests, ownFaults, silent } from '../../kube/src/index.ts';
import { Evictor } from '../src/evictions/evictor.ts';
import { ended, eventually, type Cluster } from './cluster.ts';
import { suiteControllerManager } from './controller-manager.ts';
import { aNodeOf, created, prepared } from './moving.ts';
import { runSet } from './sets.ts';
import { evict, withWebhook } from './webhook.ts';
import { budgets, containersEnded, move } from './workloads.ts';

const moves = migrationRequests;

interface Counts {
  readonly currentHealthy: number;
  readonly desiredHealthy: number;
  readonly expectedPods: number;
  readonly disruptionsAllowed: number;
}

export function budgetSuite(cluster: () => Cluster): void {
  describe('a PodDisruptionBudget over a set whose pod moves', { timeout: 120_000 }, () => {
    const manager = suiteControllerManager(cluster);
    const webhook = withWebhook(cluster);
    const needs = (skip: (why: string) => void): void => {
      const why = manager().lack ?? (webhook() ? undefined : 'no helm beside the API server');
      if (why !== undefined) skip(why);
    };
    afterEach(() => ownFaults(undefined));

    /** A budget over a Deployment's pods, and all that the disruption controller has ever counted. */
    async function budgeted(
      name: string,
      count: number,
      rule: object,
      by: (
        status: () => Promise<Counts>,
        seen: Counts[],
        names: readonly string[],
      ) => Promise<void>,
    ): Promise<void> {
      const c = cluster();
      await runSet(c, ['Deployment', name, count], async (set) => {
        const selector = { matchLabels: { app: name } };
        const spec = { selector, ...rule };
        const made = await c.client.create(budgets, 'default', { metadata: { name }, spec });
        const { resourceVersion } = (made as { metadata: { resourceVersion: string } }).metadata;
        const seen: Counts[] = [];
        const stop = new AbortController();
        const watched = (async () => {
          const { signal } = stop;
          const of = { namespace: 'default', fieldSelector: `metadata.name=${name}`, signal };
          for await (const event of c.client.watch(budgets, resourceVersion, of)) {
            if (event.type === 'BOOKMARK') continue;
            seen.push((event.object as { status: Counts }).status);
          }
        })();
        const status = async () =>
          (await c.client.get(budgets, 'default', name)).status as unknown as Counts;
        try {
          await eventually(status).toMatchObject({ currentHealthy: count, expectedPods: count });
          await by(status, seen, set.names);
        } finally {
          stop.abort();
          await watched.catch(() => undefined);
          await c.client.delete(budgets, 'default', name);
        }
      });
    }

    it('is asked for nothing, even if it forbids every eviction', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await budgeted('forbids', 2, { minAvailable: 2 }, async (status, seen, names) => {
        const [first = '', second = ''] = names;
        const before = {
          ...{ currentHealthy: 2, expectedPods: 2, desiredHealthy: 2, disruptionsAllowed: 0 },
        };
        expect(await status()).toMatchObject(before);
        expect(await evict(c, second)).toMatch(/^429/);
        seen.length = 0;
        await move(c, 'forbids', first);
        await eventually(status).toMatchObject(before);
        expect(await evict(c, second)).toMatch(/^429/);
        // Nobody was evicted: the API server has noted no disruption.
        expect((await status()) as unknown).not.toHaveProperty('disruptedPods');
        const healthy = seen.map((one) => one.currentHealthy);
        expect(Math.max(2, ...healthy), 'source and target are never both healthy').toBe(2);
      });
    });

    it('counts neither copy twice, and the set as before after an abort', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await budgeted('aborts', 3, { minAvailable: 2 }, async (status, seen, names) => {
        const before = { currentHealthy: 3, expectedPods: 3, disruptionsAllowed: 1 };
        expect(await status()).toMatchObject(before);
        seen.length = 0;
        await prepared(c, 'aborts', names[0] ?? '');
        await c.source(moves, 'aborts', { state: 'Dumping' });
        await c.client.merge(moves, 'default', 'aborts', { spec: { cancel: true } });
        await c.until(moves, 'aborts', { decision: { outcome: 'Aborted' } });
        await c.source(moves, 'aborts', { state: 'Resumed' });
        await c.until(moves, 'aborts', ended('Cancelled'));
        await eventually(status).toMatchObject(before);
        for (const { currentHealthy, disruptionsAllowed } of seen) {
          expect(currentHealthy).toBe(3);
          expect(disruptionsAllowed).toBe(1);
        }
      });
    });

    it('with maxUnavailable allows nothing meanwhile, and as much as before afterwards', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      await budgeted('most', 3, { maxUnavailable: 1 }, async (status, seen, names) => {
        const before = { currentHealthy: 3, expectedPods: 3, disruptionsAllowed: 1 };
        const [first = '', second = ''] = names;
        seen.length = 0;
        const target = await prepared(c, 'most', first);
        await eventually(status).toMatchObject({ disruptionsAllowed: 0 });
        expect(await evict(c, second)).toMatch(/^429/);
        await c.source(moves, 'most', { state: 'Sent' });
        await c.target(moves, 'most', { state: 'AtResumeGate' });
        await c.commit(moves, 'most');
        await c.target(moves, 'most', { state: 'Answering' });
        await c.source(moves, 'most', { state: 'Gone' });
        await containersEnded(c, first, 'Running');
        await c.podRuns(target);
        await c.target(moves, 'most', { state: 'Running' });
        await c.until(moves, 'most', ended('Succeeded'));
        await eventually(status).toMatchObject(before);
        for (const one of seen) expect(one.disruptionsAllowed).toBeLessThan(2);
      });
    });

    it('is not taken from by an eviction while one of its pods stands still', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await eventually(() => webhook()?.webhook.problem()).toBeUndefined();
      await budgeted('still', 3, { minAvailable: 2 }, async (status, _seen, names) => {
        const [first = '', second = '', third = ''] = names;
        await prepared(c, 'still', first);
        await c.source(moves, 'still', { state: 'Dumping' });
        // The kubelet still reports the frozen pod as ready, so the API server alone would allow one.
        expect(await status()).toMatchObject({ currentHealthy: 3, disruptionsAllowed: 1 });
        await eventually(() => evict(c, second, { deleteOptions: { dryRun: ['All'] } })).toMatch(
          /^429 .*PodDisruptionBudget still allows 1 disruptions now, and 1 of its pods/,
        );
        expect(await evict(c, second)).toMatch(/^429 .*PodDisruptionBudget still allows/);
        // What is not ready serves nobody.
        await c.podStatus(third, { conditions: [{ type: 'Ready', status: 'False' }] });
        await eventually(status).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 0 });
        expect(await evict(c, third)).toBe('evicted');
        await c.client.merge(moves, 'default', 'still', { spec: { cancel: true } });
        await c.until(moves, 'still', { decision: { outcome: 'Aborted' } });
        await c.source(moves, 'still', { state: 'Resumed' });
        await c.until(moves, 'still', ended('Cancelled'));
        await eventually(status).toMatchObject({ currentHealthy: 3, disruptionsAllowed: 1 });
        expect(await evict(c, second)).toBe('evicted');
      });
    });

    it('is taken from by one of two evictions at once, while one of its pods stands still', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      await eventually(() => webhook()?.webhook.problem()).toBeUndefined();
      await budgeted('twice', 4, { minAvailable: 2 }, async (status, _seen, names) => {
        const [first = '', ...others] = names;
        await prepared(c, 'twice', first);
        await c.source(moves, 'twice', { state: 'Dumping' });
        expect(await status()).toMatchObject({ currentHealthy: 4, disruptionsAllowed: 2 });
        // The API server has asked twice, and has not taken the first from the budget yet.
        const events = new EventRecorder({ api: c.operator, log: silent, component: 'test' });
        const evictor = new Evictor({ api: c.operator, events, log: silent });
        const ask = async (podName: string): Promise<string> => {
          const eviction = { namespace: 'default', podName, podUid: undefined, isDryRun: false };
          return (await evictor.answer(eviction, AbortSignal.timeout(10_000))).verdict;
        };
        expect((await Promise.all(others.map(ask))).sort()).toEqual(['Allow', 'Refuse', 'Refuse']);
        const answers = await Promise.all(others.map((one) => evict(c, one)));
        const isEvicted = (one: string): boolean => one === 'evicted';
        expect(answers.filter(isEvicted)).toHaveLength(1);
        for (const one of answers.filter((answer) => !isEvicted(answer)))
          expect(one).toMatch(/^429 .*PodDisruptionBudget twice allows [12] disruptions now/);
      });
    });

    it('sees one healthy copy, though the target is ready before the source says it is not', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      await budgeted('both', 3, { minAvailable: 2 }, async (status, seen, names) => {
        const [first = '', second = ''] = names;
        // Its containers run from their create on, for all that their kubelet knows.
        await c.migrate('both', first);
        const target = await created(c, 'both');
        const { status: of } = await c.client.get(moves, 'default', 'both');
        await c.bind(target, aNodeOf(of));
        await c.target(moves, 'both', { state: 'AtCreateGate' });
        await c.until(moves, 'both', { deadlines: { blackout: expect.any(String) as string } });
        await c.source(moves, 'both', { state: 'Sent' });
        await c.target(moves, 'both', { state: 'AtResumeGate' });
        seen.length = 0;
        await c.commit(moves, 'both');
        await c.podRuns(target);
        await eventually(() => status()).toMatchObject({ currentHealthy: 4 });
        // As many as are left without the source.
        expect(await evict(c, second)).toBe('evicted');
        // Unless the set has made another one that runs already: then there are as many again.
        const third = await evict(c, names[2] ?? '');
        if (third === 'evicted') expect((await status()).currentHealthy).toBeGreaterThanOrEqual(3);
        else expect(third).toMatch(/^429/);
        await c.source(moves, 'both', { state: 'Gone' });
        await containersEnded(c, first, 'Running');
        await c.target(moves, 'both', { state: 'Running' });
        await c.until(moves, 'both', ended('Succeeded'));
        await eventually(status).toMatchObject({ currentHealthy: 3, expectedPods: 3 });
      });
    });
  });
}
