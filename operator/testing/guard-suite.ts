// SPDX-License-Identifier: Apache-2.0
// Evictions while no operator answers, and nodes that are emptied without evictions, with a real API server.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { annotations, evacuationName, labels } from '../../crds/src/index.ts';
import {
  migrationPolicies,
  migrationRequests,
  nodes,
  pods,
  validatingWebhookConfigurations,
} from '../../kube/src/index.ts';
import { webhookNames } from '../src/evictions/registration.ts';
import { eventually, type Cluster } from './cluster.ts';
import { evict, MIGRATE, WEBHOOK_CONFIGURATION, withWebhook } from './webhook.ts';

const moves = migrationRequests;
/** What the operator looks at again after 15 s, if its watch has missed it. */
const slowly = <T>(see: () => T) => expect.poll(see, { timeout: 40_000, interval: 100 });

export function guardSuite(cluster: () => Cluster): void {
  describe('while no operator answers', { timeout: 60_000 }, () => {
    const webhook = withWebhook(cluster);

    const guardOf = async (): Promise<string> => {
      const found = await cluster().client.get(
        validatingWebhookConfigurations,
        '',
        WEBHOOK_CONFIGURATION,
      );
      const guard = found.webhooks.find(({ name }) => name === webhookNames.guard);
      return `${guard?.failurePolicy ?? ''} ${guard?.matchConditions?.[0]?.expression ?? ''}`;
    };
    const remove = (name: string): Promise<void> =>
      cluster().client.delete(pods, 'default', name, { gracePeriodSeconds: 0 });

    it('an eviction fails of a pod that is to be moved, and of no other', async ({ skip }) => {
      const hook = webhook();
      if (!hook) return skip('no helm beside the API server');
      const c = cluster();
      await eventually(() => hook.webhook.problem()).toBeUndefined();
      await c.run('safe', { podAnnotations: MIGRATE });
      await c.run('unsafe');
      await c.run('foreign', { spec: { runtimeClassName: null }, podAnnotations: MIGRATE });
      await c.stopOperator();
      c.startOperator({ webhookConfiguration: WEBHOOK_CONFIGURATION });
      await eventually(guardOf).toBe(
        "Fail (request.namespace + '/' + request.name) in ['default/safe']",
      );
      // As long as it answers, the guarded pod is moved.
      await eventually(() => evict(c, 'safe', { deleteOptions: { dryRun: ['All'] } })).toBe(
        'evicted',
      );
      // Two refuse it, and what is passed on is the answer that says more.
      for (let n = 0; n < 5; n++)
        expect(await evict(c, 'safe')).toMatch(
          /^429 TooManyRequests: .*by MigrationRequest default/,
        );
      for (const one of await c.migrations()) await c.client.delete(moves, 'default', one);
      await slowly(() => c.migrations()).toEqual([]);
      await hook.stop();
      await eventually(() => evict(c, 'safe', { deleteOptions: { dryRun: ['All'] } })).toMatch(
        /^500 InternalError: .*failed calling webhook "guard\.evictions\.sealift\.dev"/,
      );
      expect((await c.pod('safe'))?.metadata.deletionTimestamp).toBeUndefined();
      for (const name of ['unsafe', 'foreign']) {
        expect(await evict(c, name)).toBe('evicted');
        await remove(name);
      }
      // A pod that is gone needs no guard.
      await remove('safe');
      await eventually(guardOf).toBe(' ');
      await c.stopOperator();
      c.startOperator();
    });

    it('the API server takes a guard of many pods', async ({ skip }) => {
      if (!webhook()) return skip('no helm beside the API server');
      const c = cluster();
      const names = Array.from(
        { length: 1_800 },
        (_, i) => `'default/pod-with-a-long-name-${i}-x7k2p'`,
      );
      const expression = `(request.namespace + '/' + request.name) in [${names.join(',')}]`;
      const { metadata, webhooks } = await c.client.get(
        validatingWebhookConfigurations,
        '',
        WEBHOOK_CONFIGURATION,
      );
      const many = webhooks.map((one) => ({
        ...one,
        matchConditions: [{ name: 'pods', expression }],
      }));
      const patch = { metadata: { resourceVersion: metadata.resourceVersion }, webhooks: many };
      await c.client.merge(validatingWebhookConfigurations, '', WEBHOOK_CONFIGURATION, patch);
      await c.run('beside');
      expect(await evict(c, 'beside')).toBe('evicted');
      await remove('beside');
    });
  });

  describe('kubectl drain', { timeout: 120_000 }, () => {
    const webhook = withWebhook(cluster);

    /** @returns its exit status and what it has said */
    async function drain(node: string): Promise<string> {
      const { server } = cluster();
      const args = ['drain', node, '--ignore-daemonsets', '--force', '--timeout=60s'];
      const kubectl = promisify(execFile)(join(server.binaries, 'kubectl'), [
        ...['--kubeconfig', server.kubeconfig, ...args],
      ]);
      return kubectl.then(
        ({ stdout, stderr }) => `0 ${stderr}${stdout}`,
        (error: { code: number; stderr: string }) => `${error.code} ${error.stderr}`,
      );
    }

    it('ends with an error while no operator answers, and waits for no longer than 10 s', async ({
      skip,
    }) => {
      const hook = webhook();
      const c = cluster();
      if (!hook || !existsSync(join(c.server.binaries, 'kubectl')))
        return skip('no helm or no kubectl beside the API server');
      await eventually(() => hook.webhook.problem()).toBeUndefined();
      for (const name of ['keep', 'go', 'go-too'])
        await c.run(name, name === 'keep' ? { podAnnotations: MIGRATE } : {});
      await c.stopOperator();
      c.startOperator({ webhookConfiguration: WEBHOOK_CONFIGURATION });
      const configured = () =>
        c.client.get(validatingWebhookConfigurations, '', WEBHOOK_CONFIGURATION);
      await eventually(async () => (await configured()).webhooks.length).toBe(2);
      await hook.stop();
      const dryRun = { deleteOptions: { dryRun: ['All'] } };
      await eventually(() => evict(c, 'keep', dryRun)).toMatch(/^500 /);

      // Nobody listens, as where the operator has no pod.
      const draining = drain('a');
      for (const name of ['go', 'go-too']) {
        await eventually(async () => (await c.pod(name))?.metadata.deletionTimestamp).toBeDefined();
        await c.client.delete(pods, 'default', name, { gracePeriodSeconds: 0 });
      }
      const said = await draining;
      expect(said).toMatch(/^1 /);
      expect(said).toMatch(
        /error when evicting pods\/"keep" .*Internal error occurred: failed calling webhook "guard\.evictions\.sealift\.dev"/,
      );
      // The path that may be used to ask for moves is in no message.
      expect(said).toMatch(/Post \\?"https:\S+\/guard\?/);
      expect(said).not.toMatch(/\/evictions\/[0-9a-f]+/);
      expect((await c.pod('keep'))?.metadata.deletionTimestamp).toBeUndefined();
      expect((await c.client.get(nodes, '', 'a')).spec.unschedulable).toBe(true);
      await c.client.merge(nodes, '', 'a', { spec: { unschedulable: false } });

      // Nothing comes back, as from a node that is gone.
      const silent = createServer(() => undefined);
      await new Promise<void>((resolve) => silent.listen(0, resolve));
      const { port } = silent.address() as AddressInfo;
      const { metadata, webhooks } = await configured();
      const away = webhooks.map((one) => ({
        ...one,
        clientConfig: { ...one.clientConfig, url: `https://localhost:${port}/` },
      }));
      await c.client.merge(validatingWebhookConfigurations, '', WEBHOOK_CONFIGURATION, {
        metadata: { resourceVersion: metadata.resourceVersion },
        webhooks: away,
      });
      await c.run('go');
      const timed = async (name: string): Promise<[string, number]> => {
        const began = performance.now();
        const answer = await evict(c, name, dryRun);
        return [answer, (performance.now() - began) / 1000];
      };
      // Once the API server has the new address.
      await slowly(async () => (await timed('go'))[1] > 5).toBe(true);
      const [[kept, keptFor], [gone, goneFor]] = await Promise.all([timed('keep'), timed('go')]);
      expect(kept).toMatch(/^500 InternalError: .*failed calling webhook "guard/);
      expect(gone).toBe('evicted');
      for (const seconds of [keptFor, goneFor]) {
        expect(seconds).toBeGreaterThan(9);
        expect(seconds).toBeLessThan(20);
      }
      silent.close();
      for (const name of ['keep', 'go'])
        await c.client.delete(pods, 'default', name, { gracePeriodSeconds: 0 });
      await c.stopOperator();
      c.startOperator();
    });
  });

  describe('a node', { timeout: 120_000 }, () => {
    const cordon = (unschedulable: boolean): Promise<unknown> =>
      cluster().client.merge(nodes, '', 'a', { spec: { unschedulable } });
    const taint = (taints: object[] | null): Promise<unknown> =>
      cluster().client.merge(nodes, '', 'a', { spec: { taints } });

    it.each([
      ['that is cordoned', 'Cordon', () => cordon(true), () => cordon(false)],
      [
        'that has a taint',
        'Taint',
        () => taint([{ key: 'example.com/reboot', effect: 'NoSchedule' }]),
        () => taint(null),
      ],
    ])('%s is left by the pods of a policy', async (_what, trigger, begin, end) => {
      const c = cluster();
      const name = `node-${trigger.toLowerCase()}`;
      await c.client.create(migrationPolicies, '', {
        metadata: { name },
        spec: {
          podSelector: {
            matchExpressions: [{ key: 'app', operator: 'In', values: [name, `${name}-2`] }],
          },
          limits: { migrations: 1 },
          nodes: { cordoned: true, taints: [{ key: 'example.com/reboot' }] },
        },
      });
      const { metadata } = await c.run(name);
      const second = await c.run(`${name}-2`);
      await c.run(`${name}-other`);
      const request = evacuationName(metadata.uid);
      expect(await c.find(moves, request)).toBeUndefined();
      await begin();
      try {
        // The node that it leaves is no target, and the policy's limit keeps the second one.
        const all = [request, evacuationName(second.metadata.uid)];
        await slowly(async () =>
          (await Promise.all(all.map((one) => c.find(moves, one))))
            .map((one) => one?.status?.queue?.waitsFor ?? one?.status?.target?.nodeName ?? '')
            .sort(),
        ).toEqual(['Policy', 'b']);
        const made = await c.find(moves, request);
        expect(made?.metadata.labels).toEqual({ [labels.trigger]: trigger });
        expect(made?.metadata.annotations[annotations.podUid]).toBe(metadata.uid);
        expect(made?.status?.policy).toEqual({ name, generation: 1, limits: { migrations: 1 } });
        const { metadata: beside } = (await c.pod(`${name}-other`)) ?? {};
        expect(await c.find(moves, evacuationName(beside?.uid ?? ''))).toBeUndefined();
      } finally {
        await end();
        await c.client.delete(migrationPolicies, '', name);
      }
      for (const one of await c.migrations()) await c.client.delete(moves, 'default', one);
      await slowly(() => c.migrations()).toEqual([]);
      for (const one of [name, `${name}-2`, `${name}-other`]) {
        await c.client.delete(pods, 'default', one, { gracePeriodSeconds: 0 });
      }
    });
  });

  describe('a MigrationPolicy', () => {
    const make = (spec: object) =>
      cluster().client.create(migrationPolicies, '', { metadata: { name: 'bad' }, spec });
    it.each<[string, object, string]>([
      [
        'a step longer than its blackout',
        { timeouts: { blackoutSeconds: 5, dumpSeconds: 6 } },
        'dumpSeconds must not exceed',
      ],
      ['a limit of nothing', { limits: { migrations: 0 } }, 'spec.limits.migrations'],
      [
        'a way out that there is not',
        { eviction: { unmovable: 'Kill' } },
        'spec.eviction.unmovable',
      ],
      [
        'an operator without values',
        { podSelector: { matchExpressions: [{ key: 'a', operator: 'In' }] } },
        'In and NotIn need values',
      ],
    ])('is refused with %s', async (_name, spec, message) => {
      await expect(make(spec)).rejects.toThrow(message);
    });
  });
}
