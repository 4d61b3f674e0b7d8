// SPDX-License-Identifier: Apache-2.0
// Pods of an MPIJob move: the real MPI operator makes its workers by name, and its launcher as a Job; real Job and garbage collector
// controllers, and the chart's policy that reserves names.
import { describe, expect, it } from 'vitest';
import { labels } from '../../crds/src/index.ts';
import { isNotFound, migrationRequests, type Pod } from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { starts, suiteOperator } from './others-operator.ts';
import { land, moveOn, prepareSecond, secondOf, suiteOfMoves } from './two-moves.ts';
import {
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
const anyText = expect.any(String) as string;
const mpiJobs = resource('kubeflow.org/v2beta1', 'MPIJob', 'mpijobs');

export function mpiJobSuite(cluster: () => Cluster): void {
  describe('a pod of an MPIJob', { timeout: 120_000 }, () => {
    const operator = suiteOperator(cluster, starts.mpi);
    // After the definitions are there: the garbage collector looks for new ones every 30 s only.
    const { needs: needsMoves } = suiteOfMoves(cluster);
    const needs = (skip: (why: string) => void): void => {
      const why = operator().lack;
      if (why !== undefined) skip(why);
      else needsMoves(skip);
    };

    /** An MPIJob with two workers and a launcher, all of them ready. */
    interface Running {
      readonly w: Workloads;
      readonly worker: string;
      readonly launcher: string;
      readonly status: () => Promise<Record<string, unknown> | undefined>;
    }

    async function running(
      name: string,
      podLabels: Record<string, string>,
      by: (job: Running) => Promise<void>,
      own: object = {},
    ): Promise<void> {
      const c = cluster();
      const w = new Workloads(c, name);
      await w.start();
      const { spec } = podTemplate(name) as { spec: object };
      const of = (replicas: number, more: object): object => ({
        replicas,
        restartPolicy: 'Never',
        template: { metadata: { labels: { app: name, ...more } }, spec },
      });
      try {
        await c.client.create(mpiJobs, 'default', {
          metadata: { name },
          spec: {
            runPolicy: { cleanPodPolicy: 'Running', backoffLimit: 0 },
            mpiReplicaSpecs: { Launcher: of(1, {}), Worker: of(2, podLabels) },
            ...own,
          },
        });
        await w.ready(2, name).catch((error: unknown) => {
          throw new Error(operator().log, { cause: error });
        });
        const [launcher = ''] = await w.ready(1, `${name}-launcher`);
        const status = async (): Promise<Record<string, unknown> | undefined> =>
          (await c.find(mpiJobs, name))?.status;
        await eventually(status).toMatchObject(runs(1, 2));
        await by({ w, worker: `${name}-worker-0`, launcher, status });
      } finally {
        await c.client.delete(mpiJobs, 'default', name).catch(() => undefined);
        await eventually(() => left(name)).toEqual([]);
        await w.stop();
      }
    }

    const condition = (type: string): unknown => expect.objectContaining({ type, status: 'True' });
    const runs = (launchers: number, workers: number): object => ({
      conditions: expect.arrayContaining([condition('Running')]) as unknown,
      replicaStatuses: { Launcher: { active: launchers }, Worker: { active: workers } },
    });
    const left = (name: string): Promise<string[]> => podsLeft(cluster(), name);
    const byName = { [labels.handover]: 'ByName' };

    /** The second move, of a worker that is deleted as soon as it belongs to the MPIJob, which may be before it is ready. */
    const moveToItsEnd = async (
      request: string,
      landing: string,
      worker: string,
    ): Promise<void> => {
      const c = cluster();
      const second = await secondOf(c, request);
      await prepareSecond(c, second);
      await c.source(moves, second, { state: 'Sent' });
      await c.target(moves, second, { state: 'AtResumeGate' });
      await c.commit(moves, second);
      await c.target(moves, second, { state: 'Answering' });
      await c.source(moves, second, { state: 'Gone' });
      await containersEnded(c, landing, 'Running');
      await c.podRuns(worker).catch((error: unknown) => {
        if (!isNotFound(error)) throw error;
      });
      await c.target(moves, second, { state: 'Running' });
      await c.until(moves, second, { completionTime: anyText });
      await c.until(moves, request, { completionTime: anyText });
    };

    it('that is a worker moves by its name, with the label; the MPIJob goes on', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      await running('mpi-worker', byName, async ({ w, worker, launcher, status }) => {
        const before = (await c.pod(worker)) as Pod;
        expect(controllerOf(before)).toMatchObject({ kind: 'MPIJob', name: 'mpi-worker' });
        const landing = await land(c, 'mpi-worker', worker);
        await moveOn(c, 'mpi-worker', landing, worker);
        await c.until(moves, 'mpi-worker', ended('Succeeded'));
        await eventually(() => c.pod(landing)).toBeUndefined();
        const after = (await c.pod(worker)) as Pod;
        expect(after.metadata.ownerReferences).toEqual(before.metadata.ownerReferences);
        expect(after.metadata.labels).toEqual(before.metadata.labels);
        expect(after.spec.hostname).toBe(worker);
        await eventually(status).toMatchObject(runs(1, 2));
        expect(w.uidsOf(worker).size, 'the source and the target').toBe(2);
        const other = 'mpi-worker-worker-1';
        expect(w.names).toEqual(new Set([worker, other, launcher, landing]));
        await completes(c, launcher);
        await eventually(status).toMatchObject({
          conditions: expect.arrayContaining([condition('Succeeded')]) as unknown,
        });
        await eventually(() => left('mpi-worker')).toEqual([launcher]);
      });
    });

    it('that is a worker and on its way when the launcher completes goes once it has its name', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      await running('mpi-end', byName, async ({ worker, launcher, status }) => {
        const landing = await land(c, 'mpi-end', worker);
        await completes(c, launcher);
        await eventually(status).toMatchObject({
          conditions: expect.arrayContaining([condition('Succeeded')]) as unknown,
        });
        await moveToItsEnd('mpi-end', landing, worker);
        await eventually(() => left('mpi-end')).toEqual([launcher]);
      });
    });

    it('that is a worker and on its way when the MPIJob is deleted goes with it', async ({
      skip,
    }) => {
      needs(skip);
      const c = cluster();
      await running('mpi-gone', byName, async ({ worker }) => {
        const landing = await land(c, 'mpi-gone', worker);
        await c.client.delete(mpiJobs, 'default', 'mpi-gone');
        await eventually(() => c.find(mpiJobs, 'mpi-gone')).toBeUndefined();
        await moveToItsEnd('mpi-gone', landing, worker);
        await eventually(() => left('mpi-gone')).toEqual([]);
      });
    });

    // It gives its launcher index 0, each worker one more than its name says, and deletes workers whose index is not below
    // `replicas` when it counts more than that by label. So the operator refuses such workers (pod-rules.ts).
    it('that is a worker is refused where the launcher is a worker too', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      const own = { runLauncherAsWorker: true };
      await running(
        'mpi-both',
        byName,
        async ({ w, worker }) => {
          const before = (await c.pod(worker)) as Pod;
          expect(before.metadata.labels).toMatchObject({
            'training.kubeflow.org/replica-index': '1',
          });
          await c.migrate('mpi-both', worker);
          await c.until(moves, 'mpi-both', { ...ended('Failed'), ...failed('UnsupportedPod') });
          await c.untouched(before);
          expect(w.uidsOf('mpi-both-worker-1').size).toBe(1);
        },
        own,
      );
    });

    it('that is a worker is refused without the label, and left alone', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await running('mpi-mute', {}, async ({ worker }) => {
        const before = (await c.pod(worker)) as Pod;
        await c.migrate('mpi-mute', worker);
        await c.until(moves, 'mpi-mute', { ...ended('Failed'), ...failed('PodHasController') });
        await c.untouched(before);
      });
    });

    it('that is the launcher moves as a Job’s pod, and the MPIJob completes', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await running('mpi-launch', byName, async ({ w, launcher, status }) => {
        const before = (await c.pod(launcher)) as Pod;
        expect(controllerOf(before)).toMatchObject({ kind: 'Job', name: 'mpi-launch-launcher' });
        const moved = await move(c, 'mpi-launch', launcher, 'Failed');
        await eventually(status).toMatchObject(runs(1, 2));
        await completes(c, moved);
        await eventually(status).toMatchObject({
          conditions: expect.arrayContaining([condition('Succeeded')]) as unknown,
        });
        const job = await c.find(jobs, 'mpi-launch-launcher');
        expect(job?.status).toMatchObject({ succeeded: 1 });
        expect(job?.status).not.toHaveProperty('failed');
        const workers = ['mpi-launch-worker-0', 'mpi-launch-worker-1'];
        expect(w.names).toEqual(new Set([...workers, launcher, moved]));
      });
    });

    it('that is the launcher and fails after its move fails the MPIJob, once', async ({ skip }) => {
      needs(skip);
      const c = cluster();
      await running('mpi-fail', byName, async ({ launcher, status }) => {
        const moved = await move(c, 'mpi-fail', launcher, 'Failed');
        await containersEnded(c, moved, 'Failed');
        await eventually(status).toMatchObject({
          conditions: expect.arrayContaining([condition('Failed')]) as unknown,
          replicaStatuses: { Launcher: { failed: 1 } },
        });
      });
    });
  });
}
