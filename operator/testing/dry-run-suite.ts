// SPDX-License-Identifier: Apache-2.0
// Dry runs of migrations with a real API server.
import { describe, expect, it } from 'vitest';
import { migrationRequests } from '../../kube/src/index.ts';
import { ended, failed, type Cluster } from './cluster.ts';

const moves = migrationRequests;

export function dryRunSuite(cluster: () => Cluster): void {
  describe('a dry run', () => {
    it('ends with what would be moved, and touches nothing', async () => {
      const c = cluster();
      const pod = await c.run('dry');
      await c.migrate('dry', 'dry', { dryRun: true });
      await c.until(moves, 'dry', { phase: 'Inspecting', source: { nodeName: 'a' } });
      const inspection = { findings: [], objects: { qp: 1, mr: 2 }, bytes: { pages: 4096 } };
      await c.source(moves, 'dry', { state: 'Inspected', inspection });
      const { status, metadata } = await c.until(moves, 'dry', {
        ...ended('Succeeded'),
        inspection: { ...inspection, targetNodeName: 'b' },
      });
      expect(metadata.finalizers).toEqual([]);
      expect([status.target, status.decision, status.deadlines?.blackout]).toEqual([
        undefined,
        undefined,
        undefined,
      ]);
      await c.untouched(pod);
      expect(await c.events(metadata.uid)).toContain('Normal Movable');
    });

    it('ends with all that is in the way, and a move of the pod may follow at once', async () => {
      const c = cluster();
      await c.run('stuck', {
        spec: { hostPID: true, volumes: [{ name: 'h', hostPath: { path: '/' } }] },
      });
      await c.migrate('stuck', 'stuck', { dryRun: true });
      await c.until(moves, 'stuck', { phase: 'Inspecting' });
      const message = 'Process 7 (app) in container main uses io_uring, which cannot be moved.';
      const findings = [{ reason: 'UnsupportedObject', message }];
      await c.source(moves, 'stuck', { state: 'Inspected', inspection: { findings } });
      const { status } = await c.until(moves, 'stuck', {
        ...ended('Failed'),
        ...failed('NotMovable'),
      });
      expect(status.inspection?.findings.map(({ reason }) => reason)).toEqual([
        ...['UnsupportedPod', 'UnsupportedVolume', 'UnsupportedObject'],
      ]);
      await c.migrate('stuck-2', 'stuck');
      await c.until(moves, 'stuck-2', failed('UnsupportedPod'));
    });

    it('names what admission would refuse, though it makes nothing', async () => {
      const c = cluster();
      const resources = { limits: { cpu: '20m' }, requests: { cpu: '20m' } };
      const spec = { containers: [{ name: 'main', image: 'x', resources }] };
      const pod = await c.run('tight', { spec });
      await c.server.create({
        ...{ apiVersion: 'v1', kind: 'LimitRange' },
        metadata: { name: 'tight', namespace: 'default' },
        spec: { limits: [{ type: 'Container', max: { cpu: '10m' } }] },
      });
      try {
        await c.migrate('tight', 'tight', { dryRun: true });
        await c.until(moves, 'tight', { phase: 'Inspecting' });
        await c.source(moves, 'tight', { state: 'Inspected', inspection: { findings: [] } });
        const { status } = await c.until(moves, 'tight', {
          ...ended('Failed'),
          ...failed('NotMovable'),
        });
        const message = expect.stringMatching(/would refuse the target pod: .*10m/) as string;
        expect(status.inspection?.findings).toEqual([{ reason: 'TargetRejected', message }]);
      } finally {
        await c.client.rest.request({
          method: 'DELETE',
          path: '/api/v1/namespaces/default/limitranges/tight',
        });
      }
      await c.untouched(pod);
    });

    it('names Services that lead to a target before it is ready', async () => {
      const c = cluster();
      await c.run('found-early');
      const specs: Record<string, object> = {
        'services-plain': { selector: { app: 'found-early' } },
        'services-found': { selector: { app: 'found-early' }, publishNotReadyAddresses: true },
        'services-other': {
          selector: { app: 'found-early', part: 'b' },
          publishNotReadyAddresses: true,
        },
        'services-bare': { publishNotReadyAddresses: true },
      };
      for (const [name, more] of Object.entries(specs)) {
        await c.server.create({
          ...{ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: 'default' } },
          spec: { clusterIP: 'None', ports: [{ port: 80 }], ...more },
        });
      }
      await c.migrate('found-early', 'found-early', { dryRun: true });
      await c.until(moves, 'found-early', { phase: 'Inspecting' });
      await c.source(moves, 'found-early', { state: 'Inspected', inspection: { findings: [] } });
      const { status } = await c.until(moves, 'found-early', ended('Succeeded'));
      const notes = status.inspection?.notes?.map(({ message }) => message);
      expect(notes).toEqual([expect.stringMatching(/^Service services-found has /) as string]);
    });

    it('reads which nodes may mount the pod’s claims', async () => {
      const c = cluster();
      const capacity = { storage: '1Gi' };
      const claims = { shared: 'ReadWriteMany', single: 'ReadWriteOnce' };
      for (const [name, mode] of Object.entries(claims)) {
        const common = { accessModes: [mode], storageClassName: '' };
        const nfs = { server: 'files', path: '/' };
        await c.server.create({
          ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name } },
          spec: { ...common, capacity, nfs },
        });
        await c.server.create({
          ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
          metadata: { name, namespace: 'default' },
          spec: { ...common, volumeName: name, resources: { requests: capacity } },
        });
      }
      const volumes = Object.keys(claims).map((name) => ({
        ...{ name, persistentVolumeClaim: { claimName: name } },
      }));
      await c.run('claims', { spec: { hostPID: true, volumes } });
      await c.migrate('claims', 'claims', { dryRun: true });
      const { status } = await c.until(moves, 'claims', { phase: 'Inspecting' });
      expect(status.inspection?.findings.map(({ message }) => message)).toEqual([
        expect.stringContaining('hostPID'),
        expect.stringMatching(
          /^Volume single is claim single of PersistentVolume single, .* \(ReadWriteOnce\)/,
        ),
      ]);
      // A move is refused for the same, and before anything is touched.
      await c.run('claims-2', { spec: { volumes } });
      const pod = (await c.pod('claims-2'))!;
      await c.migrate('claims-2', 'claims-2');
      const refused = await c.until(moves, 'claims-2', {
        ...ended('Failed'),
        ...failed('UnsupportedVolume'),
      });
      const end = refused.status.conditions?.find(({ type }) => type === 'Succeeded');
      expect(end?.message).toMatch(/^Volume single is claim single of PersistentVolume single/);
      expect(refused.status.target).toBeUndefined();
      await c.untouched(pod);
      // Somebody deletes the other claim: the API server keeps it for the pod, and lets no new pod have it.
      const path = '/api/v1/namespaces/default/persistentvolumeclaims/shared';
      const keep = { metadata: { finalizers: ['kubernetes.io/pvc-protection'] } };
      await c.client.rest.request({
        method: 'PATCH',
        path,
        contentType: 'application/merge-patch+json',
        body: keep,
      });
      await c.client.rest.request({ method: 'DELETE', path });
      await c.migrate('claims-3', 'claims-2', { dryRun: true });
      const third = await c.until(moves, 'claims-3', { phase: 'Inspecting' });
      expect(third.status.inspection?.findings.map(({ message }) => message)).toEqual([
        expect.stringMatching(/^Volume shared is claim shared, which is being deleted/),
        expect.stringMatching(/^Volume single/),
      ]);
    });

    it('cannot become a move', async () => {
      const c = cluster();
      await c.migrate('fixed', 'nothing', { dryRun: true });
      await c.until(moves, 'fixed', failed('NotMovable'));
      await expect(
        c.client.merge(moves, 'default', 'fixed', { spec: { dryRun: false } }),
      ).rejects.toThrow('dryRun is immutable');
    });
  });
}
