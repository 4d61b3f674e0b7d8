// SPDX-License-Identifier: Apache-2.0
// The chart's policy on names, as helm renders it, in a real API server.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { annotations, labels } from '../../crds/src/index.ts';
import type { TestServer } from './api-server.ts';
import { render } from './chart.ts';
import type { Manifest } from './definitions.ts';
import { Impersonation, policyPath } from './impersonation.ts';

const operator = { user: 'system:serviceaccount:sealift:sealift-operator' };
const controller = { user: 'system:serviceaccount:kube-system:statefulset-controller' };
const root = (namespace: string): string => `/api/v1/namespaces/${namespace}/pods?dryRun=All`;
const requests = '/apis/sealift.dev/v1alpha1/namespaces/default/migrationrequests';
const time = '2026-11-30T04:00:00Z';

export function namesSuite(server: () => TestServer): void {
  describe('the policy on names', { timeout: 60_000 }, () => {
    let others: Impersonation;
    let manifests: Manifest[] = [];
    let serial = 0;

    /** Somebody's attempt to make a pod. @returns the server's answer */
    function make(
      name: string,
      { who = controller, parts = {}, namespace = 'default' } = {},
    ): Promise<string> {
      const labels = { 'statefulset.kubernetes.io/pod-name': name };
      const body = {
        ...{ apiVersion: 'v1', kind: 'Pod' },
        metadata: { name, labels, ...parts },
        spec: { containers: [{ name: 'main', image: 'x' }] },
      };
      return others.write(who, 'POST', root(namespace), body);
    }

    /** A request that moves a pod of a StatefulSet. @returns a function that changes its status */
    async function moving(
      podName: string,
      source: object = {},
    ): Promise<(status: object) => Promise<void>> {
      const name = `names-${++serial}`;
      const body = { apiVersion: 'sealift.dev/v1alpha1', kind: 'MigrationRequest' };
      const made = { ...body, metadata: { name }, spec: { podName } };
      expect(await others.write(operator, 'POST', requests, made)).toBe('written');
      const change = async (status: object): Promise<void> => {
        const path = `${requests}/${name}/status`;
        expect(await others.write(operator, 'PATCH', path, { status })).toBe('written');
      };
      const set = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'u' };
      const known = { nodeName: 'a', podName, controller: { ...set, handover: 'ByName' } };
      await change({ source: { ...known, ...source } });
      return change;
    }

    const answers = (name: string): ReturnType<typeof expect.poll<Promise<string>>> =>
      expect.poll(() => make(name), { timeout: 20_000 });

    beforeAll(async () => {
      const { client } = server();
      others = new Impersonation(server());
      manifests = render(server(), 'name-policy.yaml') ?? [];
      for (const body of manifests)
        await client.rest.request({ method: 'POST', path: policyPath(body), body });
    });
    afterAll(async () => {
      for (const one of manifests) {
        const path = `${policyPath(one)}/${one.metadata.name}`;
        await server().client.rest.request({ method: 'DELETE', path });
      }
      await others.close();
    });

    it('keeps a name from its controller until the move has ended', async ({ skip }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      expect(await make('web-0')).toBe('written');
      const change = await moving('web-0');
      await answers('web-0').toContain(`reserved for MigrationRequest names-${serial}, which`);
      const decision = { outcome: 'Committed', by: 'agent/b', time, reason: 'Committed' };
      const deadlines = { blackout: time };
      await change({
        target: { nodeName: 'b' },
        deadlines,
        decision: { ...decision, message: '' },
      });
      expect(await make('web-0')).toContain('is forbidden');
      expect(await make('web-1'), 'another pod of the set').toBe('written');
      expect(await make('web-0', { namespace: 'kube-system' })).toBe('written');
      expect(await make('web-0', { parts: { labels: {} } }), 'a pod of no set').toBe('written');
      const marked = { annotations: { [annotations.migration]: 'default/second' } };
      expect(await make('web-0', { who: operator })).toContain('is forbidden');
      expect(
        await make('web-0', {
          parts: { labels: { 'statefulset.kubernetes.io/pod-name': 'web-0' }, ...marked },
        }),
      ).toContain('is forbidden');
      const labels = { 'statefulset.kubernetes.io/pod-name': 'web-0' };
      expect(await make('web-0', { who: operator, parts: { labels, ...marked } })).toBe('written');
      await change({ completionTime: time });
      await answers('web-0').toBe('written');
    });

    it('keeps a name from a controller of another kind, if its pods say that it goes by names', async ({
      skip,
    }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      const crew = { apiVersion: 'example.org/v1', kind: 'Crew', name: 'job', uid: 'u' };
      await moving('job-worker-0', { controller: { ...crew, handover: 'ByName' } });
      const says = { parts: { labels: { [labels.handover]: 'ByName' } } };
      const answer = (): Promise<string> => make('job-worker-0', says);
      await expect.poll(answer, { timeout: 20_000 }).toContain('reserved for MigrationRequest');
      expect(await make('job-worker-1', says)).toBe('written');
    });

    it('keeps no name of a move that is aborted, or of a pod that has another one', async ({
      skip,
    }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      const change = await moving('db-0');
      await answers('db-0').toContain('is forbidden');
      const decision = { outcome: 'Aborted', by: 'operator', time, reason: 'Cancelled' };
      await change({ decision: { ...decision, message: '' } });
      await answers('db-0').toBe('written');
      await moving('db-1-a1b2c', { standsInFor: 'db-1' });
      const job = { apiVersion: 'batch/v1', kind: 'Job', name: 'db', uid: 'u' };
      await moving('db-2', { controller: { ...job, handover: 'BeforeHold' } });
      await moving('db-3');
      await answers('db-3').toContain('is forbidden');
      for (const name of ['db-1', 'db-1-a1b2c', 'db-2']) expect(await make(name)).toBe('written');
    });
  });
}
