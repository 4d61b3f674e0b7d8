// SPDX-License-Identifier: Apache-2.0
// Pods of a Deployment move: real Deployment, ReplicaSet and garbage collector controllers.
import { afterEach, describe, expect, it } from 'vitest';
import { annotations } from '../../crds/src/index.ts';
import { migrationRequests, ownFaults, pods } from '../../kube/src/index.ts';
import { controllerOf } from '../src/target-pod/ownership.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { suiteControllerManager } from './controller-manager.ts';
import { created, prepared } from './moving.ts';
import {
  committed,
  containersEnded,
  deployments,
  failOnce,
  move,
  podTemplate,
  replicaSets,
  Workloads,
} from './workloads.ts';

const moves = migrationRequests;

export function replicaSetSuite(cluster: () => Cluster): void {
  describe('a pod of a Deployment', { timeout: 90_000 }, () => {
    const manager = suiteControllerManager(cluster);
    afterEach(() => ownFaults(undefined));

    /** Runs a Deployment of 3, and sees every state of its pods. */
    async function deployed(
      name: string,
      by: (w: Workloads, set: string, names: string[]) => Promise<void>,
    ): Promise<Workloads> {
      const c = cluster();
      const template = podTemplate(name);
      const spec = { replicas: 3, selector: { matchLabels: { app: name } }, template };
      const w = new Workloads(c, name);
      await w.start();
      try {
        await c.client.create(deployments, 'default', { metadata: { name }, spec });
        const names = await w.ready(3);
        await by(w, controllerOf(w.pod(names[0] ?? '')!)?.name ?? '', names);
        return w;
      } finally {
        await c.client.delete(deployments, 'default', name);
        await w.stop();
      }
    }

    /** From the time when all ran: how many pods the set had, and how many of them were ready. */
    function counts(w: Workloads, set: string): { least: number; most: number; ready: number } {
      const all = w.seen.get(set) ?? [];
      const since = all.slice(all.findIndex((one) => one.ready === 3));
      const active = since.map((one) => one.active.length);
      const ready = Math.max(...since.map((one) => one.ready));
      return { least: Math.min(...active), most: Math.max(...active), ready };
    }

    const scale = (name: string, replicas: number): Promise<unknown> =>
      cluster().client.merge(deployments, 'default', name, { spec: { replicas } });

    it('moves three times, and the set counts three', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await deployed('web', async (w, set, names) => {
        const status = { replicas: 3, readyReplicas: 3, availableReplicas: 3 };
        const counted = async () => (await c.client.get(replicaSets, 'default', set)).status;
        await eventually(counted).toMatchObject(status);
        let pod = names[0] ?? '';
        const targets: string[] = [];
        const writes = ['retire-source', 'attach-target', 'delete-source'];
        const left = failOnce(...writes.map((one) => `operator.${one}`));
        for (const turn of [1, 2, 3]) {
          pod = await move(c, `web-${turn}`, pod);
          targets.push(pod);
          const [owner, ...others] = (await c.pod(pod))?.metadata.ownerReferences ?? [];
          expect(owner).toMatchObject({ kind: 'ReplicaSet', name: set, controller: true });
          expect(owner?.blockOwnerDeletion).toBe(true);
          expect(others).toEqual([]);
          await eventually(counted).toMatchObject(status);
          const cost = (await c.pod(pod))?.metadata.annotations[annotations.deletionCost];
          expect(cost).toBeUndefined();
        }
        expect(left, 'each write of the first move failed once').toEqual(new Set());
        expect([...w.names].sort(), 'no pod was made from nothing').toEqual(
          [...names, ...targets].sort(),
        );
        expect(counts(w, set)).toEqual({ least: 3, most: 4, ready: 3 });
      });
    });

    it('is never counted twice while the target is not ready', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await deployed('slow', async (w, set, names) => {
        const [name = ''] = names;
        const target = await committed(c, 'slow', name);
        await c.source(moves, 'slow', { state: 'Gone' });
        await eventually(() => w.pod(name)?.metadata.annotations).toMatchObject({
          [annotations.deletionCost]: '-2147483648',
        });
        // The target runs and its probe has not passed: the ReplicaSet would delete it beside a source that is ready.
        await c.podRuns(target);
        await c.podStatus(target, { conditions: [{ type: 'Ready', status: 'False' }] });
        await c.target(moves, 'slow', { state: 'Running' });
        await c.until(moves, 'slow', { phase: 'Resuming' });
        expect(controllerOf((await c.pod(target))!)?.kind).toBe('Namespace');
        expect(
          w
            .activeOf(set)
            .map((one) => one.metadata.name)
            .sort(),
        ).toEqual(names.sort());
        await containersEnded(c, name, 'Running');
        await eventually(async () => controllerOf((await c.pod(target))!)?.name).toBe(set);
        await eventually(() => c.pod(name)).toBeUndefined();
        await c.until(moves, 'slow', ended('Succeeded'));
        expect(w.names).toEqual(new Set([...names, target]));
        expect(w.pod(target)?.metadata.deletionTimestamp).toBeUndefined();
        expect(counts(w, set)).toEqual({ least: 3, most: 4, ready: 3 });
      });
    });

    it('is after an abort as it was: owners, finalizers, labels and the user’s deletion cost', async ({
      skip,
    }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await deployed('as-before', async (w, set, names) => {
        const [name = ''] = names;
        const own = { [annotations.deletionCost]: '7' };
        await c.client.merge(pods, 'default', name, { metadata: { annotations: own } });
        const read = async (): Promise<unknown> => {
          const { metadata, spec } = (await c.pod(name))!;
          const { uid, ownerReferences, finalizers, labels, annotations: texts } = metadata;
          return { uid, ownerReferences, finalizers, labels, texts, node: spec.nodeName };
        };
        const before = await read();
        expect(before).toMatchObject({ texts: own, ownerReferences: [{ name: set }] });
        const target = await prepared(c, 'as-before', name);
        await c.source(moves, 'as-before', { state: 'Transferring' });
        await c.client.merge(moves, 'default', 'as-before', { spec: { cancel: true } });
        await c.until(moves, 'as-before', { decision: { outcome: 'Aborted' } });
        await c.source(moves, 'as-before', { state: 'Resumed' });
        await c.until(moves, 'as-before', ended('Cancelled'));
        expect(await read()).toEqual(before);
        expect(await c.pod(target)).toBeUndefined();
        expect(w.names, 'no pod was made from nothing').toEqual(new Set([...names, target]));
        expect(counts(w, set)).toEqual({ least: 3, most: 3, ready: 3 });
      });
    });

    it('stays with its set while the controllers restart', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await deployed('restart', async (w, set, names) => {
        const [name = ''] = names;
        await manager().stop();
        const target = await move(c, 'restart', name);
        manager().start();
        const counted = async () => (await c.client.get(replicaSets, 'default', set)).status;
        await scale('restart', 4);
        await eventually(counted).toMatchObject({ replicas: 4, readyReplicas: 4 });
        expect(w.activeOf(set).map((one) => one.metadata.name)).toContain(target);
        expect(w.names.size, 'the three, the target, and the fourth').toBe(5);
      });
    });

    it('is not moved when a rollout deletes it', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await deployed('rollout', async (w, set, names) => {
        const [name = ''] = names;
        const target = await prepared(c, 'rollout', name);
        await c.source(moves, 'rollout', { state: 'Dumping' });
        const template = podTemplate('rollout', { containers: [{ name: 'main', image: 'y' }] });
        await c.client.merge(deployments, 'default', 'rollout', { spec: { template } });
        await c.until(moves, 'rollout', { decision: { outcome: 'Aborted', reason: 'SourceGone' } });
        await c.source(moves, 'rollout', { state: 'Lost' });
        await c.until(moves, 'rollout', { ...ended('Failed'), ...failed('SourceGone') });
        await eventually(() => c.pod(target)).toBeUndefined();
        await eventually(() => w.activeOf(set).length).toBe(0);
        // Those that the set counts no more may still be on their way out.
        const left = async () =>
          (await c.client.list(pods, { labelSelector: 'app=rollout' })).items.length;
        await eventually(left).toBe(3);
        expect(w.names.size, 'three old, three new, the target').toBe(7);
      });
    });

    it('goes with its set when a rollout begins after the decision', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await deployed('late', async (w, set, names) => {
        const [name = ''] = names;
        const target = await committed(c, 'late', name);
        const template = podTemplate('late', { containers: [{ name: 'main', image: 'y' }] });
        await c.client.merge(deployments, 'default', 'late', { spec: { template } });
        await c.source(moves, 'late', { state: 'Gone' });
        await containersEnded(c, name, 'Running');
        await c.podRuns(target);
        await c.target(moves, 'late', { state: 'Running' });
        await eventually(() => w.activeOf(set).length).toBe(0);
        await eventually(() => c.pod(target)).toBeUndefined();
        const phase = expect.stringMatching(/Succeeded|Failed/) as string;
        await c.until(moves, 'late', { phase });
        const { items } = await c.client.list(pods, { labelSelector: 'app=late' });
        expect(items).toHaveLength(3);
        expect(w.names.size, 'three old, three new, the target').toBe(7);
      });
    });

    it('is scaled down and up with its set', async ({ skip }) => {
      skip(manager().isMissing, manager().lack);
      const c = cluster();
      await deployed('scale', async (w, set, names) => {
        const [name = ''] = names;
        await c.migrate('to-zero', name);
        const target = await created(c, 'to-zero');
        await scale('scale', 0);
        await c.until(moves, 'to-zero', { ...ended('Failed'), ...failed('SourceGone') });
        await eventually(() => c.pod(target)).toBeUndefined();
        await scale('scale', 2);
        const [next = ''] = await w.ready(2);
        const moved = await committed(c, 'to-three', next);
        await scale('scale', 3);
        await w.ready(3, set);
        await c.source(moves, 'to-three', { state: 'Gone' });
        await containersEnded(c, next, 'Running');
        await c.podRuns(moved);
        await c.target(moves, 'to-three', { state: 'Running' });
        await c.until(moves, 'to-three', ended('Succeeded'));
        await eventually(() => w.activeOf(set).length).toBe(3);
        expect(w.activeOf(set).map((one) => one.metadata.name)).toContain(moved);
        expect(w.names.size, 'three, two, one more, and two targets').toBe(8);
      });
    });
  });
}
