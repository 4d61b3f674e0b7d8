// SPDX-License-Identifier: Apache-2.0
// Migrations that are aborted, with a real API server.
import { describe, expect, it } from 'vitest';
import { finalizers } from '../../crds/src/index.ts';
import { migrationRequests, nodes, type Pod } from '../../kube/src/index.ts';
import { ended, eventually, failed, type Cluster } from './cluster.ts';
import { created, noRoom, prepared } from './moving.ts';

const moves = migrationRequests;
const time = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();

export function abortSuite(cluster: () => Cluster): void {
  describe('aborts, and the source resumes', () => {
    /** The target is deleted, and the request says why. */
    async function aborted(
      name: string,
      reason: string,
      target: string,
      source: Pod,
    ): Promise<void> {
      const c = cluster();
      const { status, metadata } = await c.until(moves, name, {
        ...ended(reason === 'Cancelled' ? 'Cancelled' : 'Failed'),
        ...failed(reason),
        decision: { outcome: 'Aborted', by: 'operator', reason },
      });
      expect(status.conditions?.find((one) => one.type === 'Succeeded')?.message).not.toBe('');
      expect(await c.pod(target)).toBeUndefined();
      await eventually(() => c.events(metadata.uid)).toContain(`Warning ${reason}`);
      await c.untouched(source);
    }

    it('when there is no room for the target', async () => {
      const c = cluster();
      const source = await c.run('full');
      await c.migrate('full', 'full');
      const target = await created(c, 'full');
      await noRoom(c, target, '0/4 nodes are available');
      await aborted('full', 'TargetUnschedulable', target, source);
    });

    it('but not while another node may have room', async () => {
      const c = cluster();
      const third = { ...(await c.client.get(nodes, '', 'b')).metadata, name: 'third' };
      const { name, labels, annotations } = third;
      await c.client.create(nodes, '', { metadata: { name, labels, annotations } });
      const status = {
        conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time(0) }],
      };
      await c.client.merge(nodes, '', name, { status }, { subresource: 'status' });
      await c.client.merge(nodes, '', name, { spec: { taints: null } });
      const source = await c.run('either');
      await c.migrate('either', 'either');
      const target = await created(c, 'either');
      const first = (await c.find(moves, 'either'))?.status?.target;
      expect(first?.candidates?.toSorted()).toEqual(['b', 'third']);
      expect(first?.nodeName, 'the scheduler has not chosen').toBeUndefined();
      await c.bind(target, 'b');
      await c.until(moves, 'either', { target: { nodeName: 'b', agentAddress: 'b:7461' } });
      const refusal = { reason: 'OutOfcpu', message: 'Node has not enough cpu' };
      await c.podStatus(target, { phase: 'Failed', ...refusal });
      const next = 'third';
      await c.until(moves, 'either', { target: { nodeName: next, podName: target } });
      const podUID = expect.any(String) as string;
      const { status: now } = await c.until(moves, 'either', {
        target: { nodeName: next, podUID },
      });
      expect(now.target?.podUID).toBe((await c.pod(target))?.metadata.uid);
      expect(now.target?.podUID).not.toBe(first?.podUID);
      expect(now.triedNodes).toMatchObject([
        { nodeName: 'b', podUID: first?.podUID, reason: 'TargetFailed' },
      ]);
      expect(now.decision).toBeUndefined();
      await c.untouched(source);
      await c.client.delete(moves, 'default', 'either');
      await eventually(() => c.find(moves, 'either')).toBeUndefined();
      await c.client.delete(nodes, '', name);
    });

    it('when the API server does not admit the target', async () => {
      const c = cluster();
      const resources = { limits: { cpu: '20m' } };
      const containers = [{ name: 'main', image: 'x', resources }];
      const source = await c.run('strict', { spec: { containers } });
      await c.server.create({
        apiVersion: 'v1',
        kind: 'LimitRange',
        metadata: { name: 'small', namespace: 'default' },
        spec: { limits: [{ type: 'Container', max: { cpu: '10m' } }] },
      });
      try {
        await c.migrate('strict', 'strict');
        const { status } = await c.until(moves, 'strict', failed('TargetRejected'));
        expect(status.conditions?.find((one) => one.type === 'Succeeded')?.message).toMatch(
          /maximum cpu usage/,
        );
        await c.untouched(source);
      } finally {
        await c.client.rest.request({
          method: 'DELETE',
          path: '/api/v1/namespaces/default/limitranges/small',
        });
      }
    });

    it('when the target was made another pod than its source', async () => {
      const c = cluster();
      const source = await c.run('injected');
      await c.migrate('injected', 'injected');
      const target = await created(c, 'injected');
      const ephemeralContainers = [
        {
          name: 'debugger',
          image: 'x',
          terminationMessagePolicy: 'File',
          imagePullPolicy: 'Always',
        },
      ];
      await c.client.rest.request({
        method: 'PATCH',
        path: `/api/v1/namespaces/default/pods/${target}/ephemeralcontainers`,
        contentType: 'application/merge-patch+json',
        body: { spec: { ephemeralContainers } },
      });
      const { status } = await c.until(moves, 'injected', failed('TargetDiffers'));
      expect(status.deadlines?.blackout).toBeUndefined();
      await aborted('injected', 'TargetDiffers', target, source);
    });

    it('when the restore fails, and waits until the source runs again', async () => {
      const c = cluster();
      const source = await c.run('broken');
      const target = await prepared(c, 'broken', 'broken');
      await c.source(moves, 'broken', { state: 'Sent' });
      const reason = 'ImageCorrupt';
      await c.target(moves, 'broken', { state: 'Failed', reason, message: 'pages-1.img' });
      await c.podGone(target);
      await c.until(moves, 'broken', { phase: 'RollingBack', decision: { outcome: 'Aborted' } });
      expect((await c.find(moves, 'broken'))?.status?.completionTime).toBeUndefined();
      await c.source(moves, 'broken', { state: 'Resumed' });
      await aborted('broken', reason, target, source);
    });

    it('when it takes too long', async () => {
      const c = cluster();
      const source = await c.run('slow');
      const target = await prepared(c, 'slow', 'slow', { timeouts: { blackoutSeconds: 1 } });
      await c.podGone(target);
      await aborted('slow', 'BlackoutDeadlineExceeded', target, source);
    });

    it('when the target never comes', async () => {
      const c = cluster();
      const source = await c.run('never');
      await c.migrate('never', 'never', { timeouts: { prepareSeconds: 1 } });
      await aborted('never', 'PrepareDeadlineExceeded', await created(c, 'never'), source);
    });

    it('when it is cancelled', async () => {
      const c = cluster();
      const source = await c.run('cancelled');
      const target = await prepared(c, 'cancelled', 'cancelled');
      await c.client.merge(moves, 'default', 'cancelled', { spec: { cancel: true } });
      await c.podGone(target);
      await aborted('cancelled', 'Cancelled', target, source);
    });

    it('when the request is deleted, whose object stays until everything is cleaned up', async () => {
      const c = cluster();
      const source = await c.run('deleted');
      const target = await prepared(c, 'deleted', 'deleted');
      await c.source(moves, 'deleted', { state: 'Dumping' });
      await c.client.delete(moves, 'default', 'deleted');
      await c.podGone(target);
      const { metadata } = await c.until(moves, 'deleted', { decision: { outcome: 'Aborted' } });
      expect(metadata.finalizers).toEqual([finalizers.active]);
      await c.source(moves, 'deleted', { state: 'Resumed' });
      await eventually(() => c.find(moves, 'deleted')).toBeUndefined();
      expect(await c.pod(target)).toBeUndefined();
      await c.untouched(source);
    });

    it('but not after Committed', async () => {
      const c = cluster();
      const source = await c.run('late');
      const target = await prepared(c, 'late', 'late');
      await c.source(moves, 'late', { state: 'Sent' });
      await c.commit(moves, 'late');
      await c.client.merge(moves, 'default', 'late', { spec: { cancel: true } });
      await c.client.delete(moves, 'default', 'late');
      await eventually(async () => (await c.pod(target))?.metadata.labels).toEqual({ app: 'late' });
      await c.untouched(source);
      await c.target(moves, 'late', { state: 'Running' });
      await eventually(() => c.pod('late')).toBeUndefined();
      await eventually(() => c.find(moves, 'late')).toBeUndefined();
      expect((await c.pod(target))?.metadata.labels).toEqual({ app: 'late' });
    });
  });
}
