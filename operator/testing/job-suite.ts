// SPDX-License-Identifier: Apache-2.0
// Pods of a Job move, and the Job counts them rightly: real Job and garbage collector controllers.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { finalizers } from '../../crds/src/index.ts';
import { migrationRequests, ownFaults, pods, type Pod } from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { suiteControllerManager } from './controller-manager.ts';
import { created, prepared } from './moving.ts';
import {
  completes,
  containersEnded,
  failOnce,
  jobs,
  move,
  podTemplate,
  Workloads,
} from './workloads.ts';

const moves = migrationRequests;

export function jobSuite(cluster: () => Cluster): void {
  describe('a pod of a Job', { timeout: 120_000 }, () => {
    const manager = suiteControllerManager(cluster);
    afterEach(() => ownFaults(undefined));

    /** Runs a Job with pods that are never restarted, two at a time; the first failure ends it. */
    async function running(
      name: string,
      completionMode: 'Indexed' | 'NonIndexed',
      by: (w: Workloads, names: string[]) => Promise<void>,
    ): Promise<void> {
      const c = cluster();
      const w = new Workloads(c, name);
      await w.start();
      try {
        const template = podTemplate(name, { restartPolicy: 'Never' });
        const count = { completions: 2, parallelism: 2, completionMode, backoffLimit: 0 };
        await c.client.create(jobs, 'default', {
          metadata: { name },
          spec: { ...count, template },
        });
        const names = await w.ready(2, name);
        // The Job acts a second after an event: nothing is left for it to do.
        await eventually(statusOf(name)).toMatchObject({ active: 2, ready: 2 });
        await by(w, names);
      } finally {
        await c.client.delete(jobs, 'default', name, { gracePeriodSeconds: 0 });
        await w.stop();
      }
    }

    const statusOf = (name: string) => async (): Promise<unknown> =>
      (await cluster().find(jobs, name))?.status;

    const condition = (type: string, reason?: string): object => ({
      conditions: expect.arrayContaining([
        expect.objectContaining({ type, status: 'True', ...(reason ? { reason } : {}) }),
      ]) as unknown,
    });
    const isMember = (pod: Pod | undefined, name: string): boolean =>
      pod !== undefined &&
      controllerOf(pod)?.name === name &&
      pod.metadata.finalizers.includes(finalizers.jobTracking);
    const activeSince = (w: Workloads, name: string): number[] => {
      const all = w.seen.get(name) ?? [];
      return all.slice(all.findIndex((one) => one.ready === 2)).map((one) => one.active.length);
    };

    it.for(['Indexed', 'NonIndexed'] as const)(
      'that is %s moves, and the Job completes with the right count',
      async (mode, { skip }) => {
        skip(manager().isMissing, manager().lack);
        const c = cluster();
        const name = `count-${mode.toLowerCase()}`;
        await running(name, mode, async (w, names) => {
          const [first = '', second = ''] = names;
          const index = 'batch.kubernetes.io/job-completion-index';
          const before = await c.pod(first);
          // restartPolicy is Never: the kubelet takes the source for failed once the agent has killed it.
          const one = await move(c, `${name}-1`, first, 'Failed');
          expect(isMember(await c.pod(one), name)).toBe(true);
          expect((await c.pod(one))?.metadata.annotations[index]).toBe(
            before?.metadata.annotations[index],
          );
          const left = failOnce('operator.detach-source', 'operator.delete-source');
          const two = await move(c, `${name}-2`, one, 'Failed');
          expect(left).toEqual(new Set());
          await eventually(statusOf(name)).toMatchObject({ active: 2, ready: 2 });
          expect(Math.min(...activeSince(w, name))).toBe(2);
          expect(await statusOf(name)()).not.toHaveProperty('failed');
          await completes(c, two);
          await eventually(statusOf(name)).toMatchObject({ active: 1, succeeded: 1 });
          await completes(c, second);
          const counted = mode === 'Indexed' ? { completedIndexes: '0,1' } : {};
          await eventually(statusOf(name)).toMatchObject({
            ...{ succeeded: 2, ...counted },
            ...condition('Complete'),
          });
          expect(await statusOf(name)()).not.toHaveProperty('failed');
          expect(w.names, 'no pod was made from nothing').toEqual(new Set([...names, one, two]));
        });
      },
    );

    it('has its place again after an abort', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await running('back', 'Indexed', async (w, names) => {
        const [first = ''] = names;
        const { ownerReferences, finalizers: own } = (await c.pod(first))?.metadata ?? {};
        const target = await prepared(c, 'back', first);
        expect(isMember(await c.pod(target), 'back')).toBe(true);
        expect((await c.pod(first))?.metadata.finalizers).toEqual([]);
        await c.source(moves, 'back', { state: 'Dumping' });
        const left = failOnce('operator.attach-source', 'operator.detach-target');
        await c.client.merge(moves, 'default', 'back', { spec: { cancel: true } });
        await c.until(moves, 'back', { decision: { outcome: 'Aborted' } });
        await c.source(moves, 'back', { state: 'Resumed' });
        await c.until(moves, 'back', ended('Cancelled'));
        expect(left).toEqual(new Set());
        expect(await c.pod(target)).toBeUndefined();
        const kept = (await c.pod(first))?.metadata;
        expect(kept?.ownerReferences).toEqual(ownerReferences);
        expect(kept?.finalizers).toEqual(own);
        for (const one of names) await completes(c, one);
        await eventually(statusOf('back')).toMatchObject({
          succeeded: 2,
          ...condition('Complete'),
        });
        expect(await statusOf('back')()).not.toHaveProperty('failed');
        expect(w.names).toEqual(new Set([...names, target]));
      });
    });

    it('has its place again when the Job deletes the target in between', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await running('between', 'NonIndexed', async (w, names) => {
        const [first = ''] = names;
        const before = (await c.pod(first))?.metadata;
        await c.migrate('between', first);
        const target = await created(c, 'between');
        await c.bind(target, 'b');
        // What the Job does with a pod too many.
        const remove = async (): Promise<void> => {
          const patch = { metadata: { finalizers: null } };
          await c.client.merge(pods, 'default', target, patch);
          await c.client.delete(pods, 'default', target, { gracePeriodSeconds: 0 });
        };
        let isOnce = true;
        ownFaults((point) => {
          if (point !== 'operator.detach-source.before' || !isOnce) return undefined;
          isOnce = false;
          return remove();
        });
        await c.target(moves, 'between', { state: 'AtCreateGate' });
        await c.until(moves, 'between', { ...ended('Failed'), ...failed('TargetGone') });
        expect(isOnce, 'the target was deleted in between').toBe(false);
        const kept = (await c.pod(first))?.metadata;
        expect(kept?.ownerReferences).toEqual(before?.ownerReferences);
        expect(kept?.finalizers).toEqual(before?.finalizers);
        // Long enough for the Job to have acted.
        await sleep(2500);
        expect(w.names).toEqual(new Set([...names, target]));
        expect(await statusOf('between')()).not.toHaveProperty('failed');
      });
    });

    it('that has completed before the hold is counted once', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await running('early-end', 'NonIndexed', async (w, names) => {
        const [first = ''] = names;
        const target = await prepared(c, 'early-end', first);
        for (const one of names) await completes(c, one);
        await c.until(moves, 'early-end', { ...ended('Failed'), ...failed('PodCompleted') });
        expect(await c.pod(target)).toBeUndefined();
        await eventually(statusOf('early-end')).toMatchObject({
          ...{ succeeded: 2, ...condition('Complete') },
        });
        expect(w.names).toEqual(new Set([...names, target]));
      });
    });

    it('that fails before the hold is counted as failed', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await running('failing', 'NonIndexed', async (_w, names) => {
        const [first = ''] = names;
        await prepared(c, 'failing', first);
        await containersEnded(c, first, 'Failed');
        await c.until(moves, 'failing', { ...ended('Failed'), ...failed('SourceLost') });
        await eventually(statusOf('failing')).toMatchObject({ ...condition('Failed') });
      });
    });

    it('ends with a Job that ends in the middle of a move', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await running('over', 'NonIndexed', async (w, names) => {
        const [first = ''] = names;
        await prepared(c, 'over', first);
        await c.client.merge(jobs, 'default', 'over', { spec: { activeDeadlineSeconds: 1 } });
        const reason = 'DeadlineExceeded';
        await eventually(statusOf('over')).toMatchObject({ ...condition('Failed', reason) });
        await c.until(moves, 'over', { ...ended('Failed'), ...failed('TargetGone') });
        await eventually(() => c.pod(first)).toBeUndefined();
        expect(w.names.size, 'the two, and the target').toBe(3);
      });
    });

    it('ends with a Job that has written its end after the request had ended', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await running('tardy', 'NonIndexed', async (_w, names) => {
        const [first = ''] = names;
        await prepared(c, 'tardy', first);
        await c.client.merge(moves, 'default', 'tardy', { spec: { cancel: true } });
        await c.until(moves, 'tardy', { decision: { outcome: 'Aborted' } });
        await c.source(moves, 'tardy', { state: 'Resumed' });
        await c.until(moves, 'tardy', ended('Cancelled'));
        expect(isMember(await c.pod(first), 'tardy')).toBe(true);
        // What the Job writes that has looked before the source came back: it takes all its pods for ended.
        const why = { status: 'True', reason: 'DeadlineExceeded', message: 'late' };
        const at = new Date().toISOString();
        const times = { lastProbeTime: at, lastTransitionTime: at };
        const conditions = ['FailureTarget', 'Failed'].map((type) => ({ type, ...why, ...times }));
        const over = { active: 0, ready: 0, terminating: 0, failed: 2, conditions };
        const body = { status: over };
        await c.client.merge(jobs, 'default', 'tardy', body, { subresource: 'status' });
        await eventually(() => c.pod(first)).toBeUndefined();
      });
    });

    it.for(['background', 'orphan'] as const)(
      'whose Job is deleted (%s) in the middle of a move',
      async (cascade, { skip }) => {
        skip(manager().isMissing, manager().lack);
        const c = cluster();
        await running(cascade, 'NonIndexed', async (_w, names) => {
          const [first = ''] = names;
          await c.migrate(cascade, first);
          const target = await created(c, cascade);
          await c.bind(target, 'b');
          await c.target(moves, cascade, { state: 'AtCreateGate' });
          await c.until(moves, cascade, { deadlines: { blackout: expect.any(String) as string } });
          await c.client.rest.request({
            method: 'DELETE',
            path: `/apis/batch/v1/namespaces/default/jobs/${cascade}`,
            body: { propagationPolicy: cascade === 'orphan' ? 'Orphan' : 'Background' },
          });
          if (cascade === 'background') {
            await c.until(moves, cascade, { ...ended('Failed'), ...failed('TargetGone') });
            await eventually(() => c.pod(first)).toBeUndefined();
            return;
          }
          await eventually(async () => (await c.pod(target))?.metadata.ownerReferences).toEqual([]);
          await c.client.merge(moves, 'default', cascade, { spec: { cancel: true } });
          await c.until(moves, cascade, ended('Cancelled'));
          expect((await c.pod(first))?.metadata.ownerReferences).toEqual([]);
          expect((await c.pod(first))?.metadata.deletionTimestamp).toBeUndefined();
          await c.client.delete(
            { ...jobs, apiVersion: 'v1', kind: 'Pod', plural: 'pods' },
            'default',
            first,
            { gracePeriodSeconds: 0 },
          );
        });
      },
    );
  });
}
