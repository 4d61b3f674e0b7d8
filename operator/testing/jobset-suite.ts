// SPDX-License-Identifier: Apache-2.0
// Pods of a JobSet move, and the JobSet counts its Jobs rightly: JobSet's real operator with its webhooks, real Job and garbage
// collector controllers.
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { migrationRequests, nodes, pods, type Pod } from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { suiteControllerManager } from './controller-manager.ts';
import { prepared } from './moving.ts';
import { starts, suiteOperator } from './others-operator.ts';
import {
  committed,
  completes,
  containersEnded,
  jobs,
  move,
  podsLeft,
  podTemplate,
  resource,
  Workloads,
} from './workloads.ts';

const moves = migrationRequests;
const jobSets = resource('jobset.x-k8s.io/v1alpha2', 'JobSet', 'jobsets');
const services = resource('v1', 'Service', 'services');
const anyText = expect.any(String) as string;

interface Parts {
  readonly spec?: object;
  readonly annotations?: object;
  /** Of its Job. */
  readonly job?: object;
}

/** A JobSet that runs, with one Job of two pods; the first pod that fails ends the Job. */
interface Running {
  readonly w: Workloads;
  /** Of its first pods, by their completion index. */
  readonly names: readonly [string, string];
  readonly status: () => Promise<Record<string, unknown> | undefined>;
}

export function jobSetSuite(cluster: () => Cluster): void {
  describe('a pod of a JobSet', { timeout: 180_000 }, () => {
    const operator = suiteOperator(cluster, starts.jobSet);
    // After the definitions are there: the garbage collector looks for new ones every 30 s only.
    const manager = suiteControllerManager(cluster);
    const needs = (skip: (why: string) => void): void => {
      const why = manager().lack ?? operator().lack;
      if (why !== undefined) skip(why);
    };

    async function running(
      name: string,
      { spec = {}, annotations = {}, job: own = {} }: Parts,
      by: (set: Running) => Promise<void>,
    ): Promise<void> {
      const c = cluster();
      const w = new Workloads(c, name);
      await w.start();
      const template = podTemplate(name, { restartPolicy: 'Never' });
      const job = { completions: 2, parallelism: 2, backoffLimit: 0, template, ...own };
      const replicatedJobs = [{ name: 'w', replicas: 1, template: { spec: job } }];
      try {
        // Its webhooks answer a moment after they listen.
        const body = { metadata: { name, annotations }, spec: { replicatedJobs, ...spec } };
        await eventually(() =>
          c.client.create(jobSets, 'default', body).then(
            () => 'created',
            (error: unknown) => `${String(error)}\n${operator().log}`,
          ),
        ).toBe('created');
        await w.ready(2, `${name}-w-0`);
        const status = async (): Promise<Record<string, unknown> | undefined> =>
          (await c.find(jobSets, name))?.status;
        await eventually(status).toMatchObject(counts({ ready: 1, active: 1 }));
        await by({ w, names: namesOf(w, `${name}-w-0`), status });
      } finally {
        await c.client
          .delete(jobSets, 'default', name, { gracePeriodSeconds: 0 })
          .catch(() => undefined);
        await eventually(async () => (await left(name)).length).toBe(0);
        await w.stop();
      }
    }

    const counts = (of: object, restarts?: number): object => ({
      ...(restarts === undefined ? {} : { restarts }),
      replicatedJobsStatus: [expect.objectContaining({ name: 'w', ...of }) as unknown],
    });
    const indexOf = (pod: Pod | undefined): string | undefined =>
      pod?.metadata.annotations['batch.kubernetes.io/job-completion-index'];
    const namesOf = (w: Workloads, job: string): [string, string] => {
      const of = (index: string): string =>
        w.activeOf(job).find((one) => indexOf(one) === index)?.metadata.name ?? '';
      return [of('0'), of('1')];
    };
    const left = (name: string): Promise<string[]> => podsLeft(cluster(), name);
    const ends = (name: string, phase: 'Succeeded' | 'Failed'): Promise<void> =>
      phase === 'Failed' ? containersEnded(cluster(), name, phase) : completes(cluster(), name);
    const jobOf = (name: string) => () => cluster().find(jobs, `${name}-w-0`);
    /** What a JobSet, its Service and its peers know a pod by. */
    const identityOf = async (name: string): Promise<object> => {
      const raw = await cluster().client.getRaw(pods, 'default', name);
      const { labels, finalizers, ...rest } = pods.parse(raw).metadata;
      const others = Object.entries(rest.annotations).filter(
        ([key]) => !key.startsWith('sealift.dev/'),
      );
      const annotations = Object.fromEntries(others);
      const { hostname, subdomain } = (raw as { spec: Record<string, unknown> }).spec;
      const controller = controllerOf(pods.parse(raw));
      return { labels, annotations, finalizers, hostname, subdomain, controller };
    };

    it('moves twice and keeps what it is known by; the JobSet completes without a restart', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      const spec = { failurePolicy: { maxRestarts: 3 } };
      await running('js-count', { spec }, async ({ w, names, status }) => {
        const [first, second] = names;
        const before = await identityOf(first);
        const job = await jobOf('js-count')();
        const service = await c.find(services, 'js-count');
        // restartPolicy is Never: the kubelet takes the source for failed once the agent has killed it.
        const one = await move(c, 'js-count-1', first, 'Failed');
        expect(await identityOf(one)).toEqual(before);
        expect(before).toMatchObject({
          ...{ hostname: 'js-count-w-0-0', subdomain: 'js-count' },
          labels: {
            'jobset.sigs.k8s.io/jobset-name': 'js-count',
            'jobset.sigs.k8s.io/restart-attempt': '0',
          },
          annotations: { 'jobset.sigs.k8s.io/job-index': '0' },
        });
        const two = await move(c, 'js-count-2', one, 'Failed');
        // Long enough for the Job, and then the JobSet, to have acted.
        await sleep(2500);
        expect(await status()).toMatchObject(counts({ ready: 1, active: 1, failed: 0 }));
        expect(await status()).not.toHaveProperty('terminalState');
        await ends(two, 'Succeeded');
        await ends(second, 'Succeeded');
        await eventually(status).toMatchObject({
          terminalState: 'Completed',
          ...counts({ succeeded: 1, failed: 0 }),
        });
        expect((await status())?.['restarts'] ?? 0).toBe(0);
        const after = await jobOf('js-count')();
        expect(after?.metadata.uid).toBe(job?.metadata.uid);
        expect(after?.status).toMatchObject({ succeeded: 2, completedIndexes: '0,1' });
        expect(after?.status).not.toHaveProperty('failed');
        expect(w.names, 'no pod was made from nothing').toEqual(new Set([...names, one, two]));
        const selector = { spec: { selector: { 'jobset.sigs.k8s.io/jobset-name': 'js-count' } } };
        expect(service).toMatchObject(selector);
        expect((await c.find(services, 'js-count'))?.metadata.uid).toBe(service?.metadata.uid);
      });
    });

    it('that fails after its move counts as one failure: the JobSet starts once more, then fails', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      const spec = { failurePolicy: { maxRestarts: 1 } };
      await running('js-fail', { spec }, async ({ w, names, status }) => {
        const old = await jobOf('js-fail')();
        const target = await move(c, 'js-fail', names[1], 'Failed');
        await ends(target, 'Failed');
        await eventually(async () => (await jobOf('js-fail')())?.metadata.uid).not.toBe(
          old?.metadata.uid,
        );
        await w.ready(2, 'js-fail-w-0');
        await eventually(status).toMatchObject(counts({ ready: 1, failed: 0 }, 1));
        const again = namesOf(w, 'js-fail-w-0');
        expect([...names, target]).not.toContain(again[0]);
        await eventually(() => c.pod(target)).toBeUndefined();
        // One of the second attempt moves like one of the first, and its failure is the last.
        const second = await move(c, 'js-fail-2', again[0], 'Failed');
        expect((await c.pod(second))?.metadata.labels).toMatchObject({
          'jobset.sigs.k8s.io/restart-attempt': '1',
        });
        await ends(second, 'Failed');
        await eventually(status).toMatchObject({ terminalState: 'Failed', restarts: 1 });
        expect(w.names.size, 'two pods for each attempt, and two targets').toBe(6);
      });
    });

    it.for(['Background', 'Foreground'] as const)(
      'goes with a JobSet that is deleted in the middle of a move: %s',
      async (cascade, { skip }) => {
        needs(skip);
        const c = cluster();
        const id = `js-${cascade.toLowerCase()}`;
        await running(id, {}, async ({ w, names }) => {
          const target = await prepared(c, id, names[0]);
          await c.source(moves, id, { state: 'Dumping' });
          await c.client.rest.request({
            method: 'DELETE',
            path: `/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets/${id}`,
            body: { propagationPolicy: cascade },
          });
          await c.until(moves, id, { decision: { outcome: 'Aborted', reason: 'TargetGone' } });
          await c.source(moves, id, { state: 'Resumed' });
          await c.until(moves, id, { ...ended('Failed'), ...failed('TargetGone') });
          await eventually(() => left(id)).toEqual([]);
          await eventually(() => c.find(jobSets, id)).toBeUndefined();
          expect(w.names).toEqual(new Set([...names, target]));
        });
      },
    );

    it('goes with a JobSet that is deleted after the decision', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await running('js-late', {}, async ({ names }) => {
        const target = await committed(c, 'js-late', names[0]);
        await c.client.delete(jobSets, 'default', 'js-late');
        await eventually(() => c.pod(target)).toBeUndefined();
        await c.source(moves, 'js-late', { state: 'Gone' });
        await c.target(moves, 'js-late', { state: 'TornDown' });
        await c.until(moves, 'js-late', { completionTime: anyText });
        await eventually(() => left('js-late')).toEqual([]);
      });
    });

    it('gives up its move when the JobSet starts again in the middle of it, which counts one restart', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      const spec = { failurePolicy: { maxRestarts: 2 } };
      await running('js-again', { spec }, async ({ w, names, status }) => {
        const [first, second] = names;
        const target = await prepared(c, 'js-again', first);
        await c.source(moves, 'js-again', { state: 'Dumping' });
        await ends(second, 'Failed');
        await c.until(moves, 'js-again', {
          decision: { outcome: 'Aborted', reason: 'TargetGone' },
        });
        await c.source(moves, 'js-again', { state: 'Resumed' });
        await c.until(moves, 'js-again', { ...ended('Failed'), ...failed('TargetGone') });
        for (const one of [first, second, target])
          await eventually(() => c.pod(one)).toBeUndefined();
        await w.ready(2, 'js-again-w-0');
        await eventually(status).toMatchObject(counts({ ready: 1, failed: 0 }, 1));
        const again = namesOf(w, 'js-again-w-0');
        for (const one of again) await ends(one, 'Succeeded');
        await eventually(status).toMatchObject({ terminalState: 'Completed', restarts: 1 });
        expect(w.names).toEqual(new Set([...names, target, ...again]));
      });
    });

    it('that has been committed goes when the JobSet starts again, and no copy is left', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      const spec = { failurePolicy: { maxRestarts: 2 } };
      await running('js-over', { spec }, async ({ w, names, status }) => {
        const [first, second] = names;
        const target = await committed(c, 'js-over', first);
        await ends(second, 'Failed');
        await eventually(() => c.pod(target)).toBeUndefined();
        await c.source(moves, 'js-over', { state: 'Gone' });
        await c.target(moves, 'js-over', { state: 'TornDown' });
        await c.until(moves, 'js-over', { completionTime: anyText });
        await eventually(() => c.pod(first)).toBeUndefined();
        await w.ready(2, 'js-over-w-0');
        await eventually(status).toMatchObject(counts({ ready: 1, failed: 0 }, 1));
        const again = namesOf(w, 'js-over-w-0');
        expect(await left('js-over')).toEqual([...again].sort());
      });
    });

    describe('that has its topology domain to itself', () => {
      const domain = 'example.org/rack';
      const parts = {
        annotations: { 'alpha.jobset.sigs.k8s.io/exclusive-topology': domain },
        job: { backoffLimit: 3 },
      };
      beforeAll(async () => {
        for (const node of ['a', 'b']) {
          const metadata = { labels: { [domain]: 'r1' } };
          await cluster().client.merge(nodes, '', node, { metadata });
        }
      });

      it('is refused by name, and left alone, whatever its index', async ({ skip }) => {
        needs(skip);
        const c = cluster();
        await running('js-own', parts, async ({ w, names, status }) => {
          for (const [index, name] of names.entries()) {
            const before = (await c.pod(name)) as Pod;
            await c.migrate(`js-own-${index}`, name);
            await c.until(moves, `js-own-${index}`, {
              ...ended('Failed'),
              ...failed('UnsupportedPod'),
            });
            await c.untouched(before);
          }
          expect(w.names).toEqual(new Set(names));
          expect(await status()).toMatchObject(counts({ ready: 1, failed: 0 }));
        });
      });
    });
  });
}
