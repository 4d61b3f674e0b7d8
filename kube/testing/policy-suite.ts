// SPDX-License-Identifier: Apache-2.0
// The chart's policy on decisions, as helm renders it, in a real API server.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestServer } from './api-server.ts';
import { render } from './chart.ts';
import type { Manifest } from './definitions.ts';
import type { Fixture } from './definitions-suite.ts';
import { Impersonation, policyPath } from './impersonation.ts';

const account = 'system:serviceaccount:sealift:sealift-';
export function policySuite(f: Fixture, server: () => TestServer): void {
  describe('the policy on decisions', () => {
    let others: Impersonation;
    let manifests: Manifest[] = [];

    /** Writes a decision as a given user. @returns the server's answer */
    async function write(user: string, node: string | undefined, by: string): Promise<string> {
      const { metadata } = await f.make();
      const path = `/apis/sealift.dev/v1alpha1/namespaces/default/migrationrequests/${metadata.name}/status`;
      const time = new Date().toISOString();
      const decision = { outcome: 'Aborted', by, time, reason: 'Cancelled', message: '' };
      return others.write({ user, node }, 'PATCH', path, { status: { decision } });
    }

    beforeAll(async () => {
      others = new Impersonation(server());
      manifests = render(server(), 'decision-policy.yaml') ?? [];
      for (const body of manifests)
        await f.client.rest.request({ method: 'POST', path: policyPath(body), body });
    });
    afterAll(async () => {
      for (const one of manifests)
        await f.client.rest.request({
          method: 'DELETE',
          path: `${policyPath(one)}/${one.metadata.name}`,
        });
      await others.close();
    });

    it('lets operator and agents write, each in its own name', async ({ skip }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      // A policy takes effect a moment after its creation.
      await expect
        .poll(() => write('somebody', undefined, 'operator'), { timeout: 20_000 })
        .toContain('only Sealift');
      expect(await write(`${account}operator`, 'x', 'operator')).toBe('written');
      expect(await write(`${account}agent`, 'b', 'agent/b')).toBe('written');
      expect(await write(`${account}agent`, undefined, 'agent/b'), 'an older cluster').toBe(
        'written',
      );
      const notOwn = 'status.decision.by is not who writes it';
      expect(await write(`${account}agent`, 'b', 'agent/a')).toContain(notOwn);
      expect(await write(`${account}agent`, 'b', 'operator')).toContain(notOwn);
      expect(await write(`${account}operator`, 'b', 'agent/b')).toContain(notOwn);
      expect(await write('system:serviceaccount:other:sealift-agent', 'b', 'agent/b')).toContain(
        'only Sealift',
      );
    });

    it('restricts no other field of the status', async ({ skip }) => {
      if (manifests.length === 0) return skip('no helm beside the API server');
      const { metadata } = await f.make();
      const after = await f.merge(metadata.name, { status: { phase: 'Pending' } }, 'status');
      expect(after.status?.phase).toBe('Pending');
    });
  });
}
