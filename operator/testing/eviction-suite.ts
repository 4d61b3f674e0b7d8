// SPDX-License-Identifier: Apache-2.0
// Evictions that are posted to a real API server, which asks the real webhook over TLS.
import { Agent, request } from 'undici';
import { describe, expect, it } from 'vitest';
import { annotations, evacuationName, labels } from '../../crds/src/index.ts';
import {
  migrationPolicies,
  migrationRequests,
  podDisruptionBudgets,
  pods,
  validatingWebhookConfigurations,
  type Pod,
  type ValidatingWebhook,
} from '../../kube/src/index.ts';
import { webhookNames } from '../src/evictions/registration.ts';
import { ended, eventually, type Cluster } from './cluster.ts';
import { conditionsOf } from './objects.ts';
import { evict, MIGRATE, WEBHOOK_CONFIGURATION, withWebhook } from './webhook.ts';

const moves = migrationRequests;

export function evictionSuite(cluster: () => Cluster): void {
  describe('an eviction', { timeout: 60_000 }, () => {
    const webhook = withWebhook(cluster);

    const named = async (c: Cluster, name: string): Promise<{ pod: Pod; request: string }> => {
      const pod = await c.client.get(pods, 'default', name);
      return { pod, request: evacuationName(pod.metadata.uid) };
    };
    /** Where the API server asks. */
    const calledAt = async (): Promise<ValidatingWebhook['clientConfig']> => {
      const configured = validatingWebhookConfigurations;
      const { webhooks } = await cluster().client.get(configured, '', WEBHOOK_CONFIGURATION);
      return webhooks.find(({ name }) => name === webhookNames.all)?.clientConfig ?? {};
    };
    const needsHelm = (skip: (why: string) => void): void => {
      if (!webhook()) skip('no helm beside the API server');
    };

    it('is seen by the webhook once its certificate is registered', async ({ skip }) => {
      needsHelm(skip);
      const c = cluster();
      await eventually(() => webhook()?.webhook.problem()).toBeUndefined();
      // A refusal that has no effect while the API server does not follow the configuration yet.
      const arriving = { ...MIGRATE, [annotations.migration]: 'default/nothing' };
      await c.run('probe', { podAnnotations: arriving });
      const deleteOptions = { dryRun: ['All'] };
      await eventually(() => evict(c, 'probe', { deleteOptions })).toMatch(/^429/);
      await c.client.delete(pods, 'default', 'probe', { gracePeriodSeconds: 0 });
    });

    it('of a pod that asks for it moves the pod, and is refused until it has moved', async ({
      skip,
    }) => {
      needsHelm(skip);
      const c = cluster();
      const source = await c.run('asks', { podAnnotations: MIGRATE });
      const { request } = await named(c, 'asks');
      const first = await evict(c, 'asks');
      expect(first).toMatch(/^429 TooManyRequests: .*is moved to another node by MigrationRequest/);
      // Asked again, by several at a time, there is still one request.
      await Promise.all([evict(c, 'asks'), evict(c, 'asks'), evict(c, 'asks')]);
      const made = (await c.migrations()).filter((one) => one.startsWith('evict-'));
      expect(made).toEqual([request]);
      const { metadata, spec } = await c.client.get(moves, 'default', request);
      expect(metadata.labels).toEqual({ [labels.trigger]: 'Eviction' });
      expect(metadata.annotations).toEqual({ [annotations.podUid]: source.metadata.uid });
      expect(spec).toMatchObject({ podName: 'asks', ttlSecondsAfterFinished: 600 });

      const { status } = await c.until(moves, request, {
        target: { podUID: expect.any(String) as string },
      });
      expect(await evict(c, 'asks')).toMatch(/^429 .*is being moved .*\(Preparing\)/);
      const target = status.target?.podName ?? '';
      // Nor is the target evicted from the node on which it arrives.
      await c.bind(target, 'b');
      await c.podRuns(target);
      expect(await evict(c, target)).toMatch(/^429 .*is arriving on this node/);
      await c.target(moves, request, { state: 'AtCreateGate' });
      await c.until(moves, request, { deadlines: { blackout: expect.any(String) as string } });
      await c.source(moves, request, { state: 'Sent' });
      await c.target(moves, request, { state: 'AtResumeGate' });
      await c.commit(moves, request);
      await c.untouched(source);
      await c.source(moves, request, { state: 'Gone' });
      await eventually(() => c.pod('asks')).toBeUndefined();
      expect(await evict(c, 'asks')).toMatch(/^404 NotFound/);
      await c.target(moves, request, { state: 'Running' });
      await c.until(moves, request, ended('Succeeded'));
      // The moved pod may be asked to move on.
      await eventually(() => evict(c, target)).toMatch(/^429 .*is moved to another node/);
      await c.client.delete(moves, 'default', (await named(c, target)).request);
      await c.client.delete(pods, 'default', target, { gracePeriodSeconds: 0 });
    });

    it.for<[string, object, Record<string, string>]>([
      ['that does not ask', {}, {}],
      ['that asks to be evicted', {}, { [annotations.eviction]: 'evict' }],
      ['of another runtime', { runtimeClassName: null }, MIGRATE],
    ])('of a pod %s evicts it', async ([_what, spec, podAnnotations], { skip }) => {
      needsHelm(skip);
      const c = cluster();
      const { metadata } = await c.run('plain', { spec, podAnnotations });
      expect(await evict(c, 'plain')).toBe('evicted');
      await c.podGone('plain');
      expect(await c.find(moves, evacuationName(metadata.uid))).toBeUndefined();
    });

    it('that is a dry run has no effect', async ({ skip }) => {
      needsHelm(skip);
      const c = cluster();
      const source = await c.run('dry', { podAnnotations: MIGRATE });
      const deleteOptions = { dryRun: ['All'] };
      expect(await evict(c, 'dry', { deleteOptions })).toBe('evicted');
      await c.untouched(source);
      expect(await c.find(moves, (await named(c, 'dry')).request)).toBeUndefined();
      await c.client.delete(pods, 'default', 'dry', { gracePeriodSeconds: 0 });
    });

    it('of a pod of another UID is the API server’s to refuse', async ({ skip }) => {
      needsHelm(skip);
      const c = cluster();
      await c.run('other', { podAnnotations: MIGRATE });
      const deleteOptions = { preconditions: { uid: 'somebody' } };
      expect(await evict(c, 'other', { deleteOptions })).toMatch(/^409 Conflict/);
      expect(await c.find(moves, (await named(c, 'other')).request)).toBeUndefined();
      await c.client.delete(pods, 'default', 'other', { gracePeriodSeconds: 0 });
    });

    describe('of a pod that a policy selects', () => {
      const policy = (name: string, spec: object): Promise<unknown> =>
        cluster().client.create(migrationPolicies, '', { metadata: { name }, spec });
      const drop = async (...names: string[]): Promise<void> => {
        for (const name of names) await cluster().client.delete(migrationPolicies, '', name);
      };
      const only = (app: string) => ({ podSelector: { matchLabels: { app } } });

      it('moves it', async ({ skip }) => {
        needsHelm(skip);
        const c = cluster();
        const eviction = { action: 'Migrate' };
        await policy('chosen', { ...only('chosen'), eviction, ttlSecondsAfterFinished: 77 });
        await c.run('chosen');
        expect(await evict(c, 'chosen')).toMatch(/^429/);
        const { request } = await named(c, 'chosen');
        const { spec } = await c.client.get(moves, 'default', request);
        expect(spec.ttlSecondsAfterFinished).toBe(77);
        await c.client.delete(moves, 'default', request);
        await drop('chosen');
        await eventually(() => c.find(moves, request)).toBeUndefined();
        expect(await evict(c, 'chosen')).toBe('evicted');
        await c.podGone('chosen');
      });

      it.for<[string, RegExp]>([
        ['Keep', /^429 TooManyRequests: .*could not be moved and is kept.*UnsupportedPod/],
        ['Evict', /^evicted$/],
      ])('and that cannot be moved: %s', async ([unmovable, answer], { skip }) => {
        needsHelm(skip);
        const c = cluster();
        const eviction = { action: 'Migrate', unmovable };
        await policy('stuck', { ...only('stuck'), eviction });
        await c.run('stuck', { spec: { hostPID: true } });
        const { request } = await named(c, 'stuck');
        expect(await evict(c, 'stuck')).toMatch(/^429/);
        await c.until(moves, request, ended('Failed'));
        expect(await evict(c, 'stuck')).toMatch(answer);
        await c.client.delete(pods, 'default', 'stuck', { gracePeriodSeconds: 0 });
        await c.client.delete(moves, 'default', request);
        await drop('stuck');
      });
    });

    it('within a PodDisruptionBudget moves as many pods as it allows', async ({ skip }) => {
      needsHelm(skip);
      const c = cluster();
      const names = ['pdb-1', 'pdb-2', 'pdb-3'];
      await c.client.create(podDisruptionBudgets, 'default', {
        metadata: { name: 'two' },
        spec: { minAvailable: 2, selector: { matchLabels: { set: 'pdb' } } },
      });
      for (const name of names) {
        await c.run(name, { podAnnotations: MIGRATE });
        await c.client.merge(pods, 'default', name, { metadata: { labels: { set: 'pdb' } } });
      }
      // Nobody has looked at the budget yet: it allows nothing, as for any eviction.
      expect(await evict(c, 'pdb-1')).toMatch(
        /^429 .*PodDisruptionBudget two allows 0 disruptions/,
      );
      expect(await c.find(moves, (await named(c, 'pdb-1')).request)).toBeUndefined();
      const status = {
        observedGeneration: 1,
        ...{ disruptionsAllowed: 1, currentHealthy: 3, desiredHealthy: 2, expectedPods: 3 },
      };
      await c.client.merge(
        podDisruptionBudgets,
        'default',
        'two',
        { status },
        { subresource: 'status' },
      );
      await Promise.all(names.map((name) => evict(c, name)));
      const answers = async (): Promise<string[]> =>
        (await Promise.all(names.map((name) => evict(c, name)))).map((one) =>
          one.includes('is being moved by') ? 'moved' : one.replace(/.*(1 of its pods).*/, '$1'),
        );
      await eventually(async () => (await answers()).sort()).toEqual([
        ...['1 of its pods', '1 of its pods', 'moved'],
      ]);
      const own = await Promise.all(names.map(async (name) => (await named(c, name)).request));
      const made = (await c.migrations()).filter((one) => own.includes(one));
      expect(made).toHaveLength(1);
      for (const one of made) await c.client.delete(moves, 'default', one);
      for (const name of names) {
        await c.client.delete(pods, 'default', name, { gracePeriodSeconds: 0 });
      }
      await c.client.delete(podDisruptionBudgets, 'default', 'two');
    });

    it('is asked about at a secret path, under the operator’s own authority', async ({ skip }) => {
      needsHelm(skip);
      const { url, caBundle } = await calledAt();
      expect(url).toMatch(/\/evictions\/[0-9a-f]{48}$/);
      expect(Buffer.from(caBundle ?? '', 'base64').toString()).toMatch(
        /^-----BEGIN CERTIFICATE-----/,
      );
    });

    it('moves no pod when it is not the API server that asks', async ({ skip }) => {
      needsHelm(skip);
      const c = cluster();
      await c.run('asked-for', { podAnnotations: MIGRATE });
      await c.run('plain');
      const { url, caBundle } = await calledAt();
      const ask = async (path: string, name: string): Promise<string> => {
        const ca = Buffer.from(caBundle ?? '', 'base64').toString();
        const dispatcher = new Agent({ connect: { ca } });
        const review = {
          ...{ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview' },
          request: { uid: 'u', name, namespace: 'default', subResource: 'eviction' },
        };
        const options = { dispatcher, method: 'POST', body: JSON.stringify(review) } as const;
        const { statusCode, body } = await request(new URL(path, url ?? ''), options);
        const text = await body.text();
        await dispatcher.close();
        return `${statusCode} ${text}`;
      };
      // The guard's path is in kubectl's messages. It says yes or no, and why to nobody.
      const guarded = await ask('/guard', 'asked-for');
      expect(guarded).toMatch(/^200 .*"allowed":false.*"code":429/);
      expect(guarded).not.toContain('MigrationRequest');
      expect(await ask('/guard', 'plain')).toMatch(/^200 .*"allowed":true\}\}$/);
      expect(await ask('/guard', 'not-there')).toMatch(/^200 .*"allowed":true\}\}$/);
      for (const path of ['/', '/evictions', '/evictions/', `/evictions/${'0'.repeat(48)}`])
        expect(await ask(path, 'asked-for')).toBe('404 ');
      const { request: made } = await named(c, 'asked-for');
      expect(await c.find(moves, made)).toBeUndefined();
      // Who knows the secret asks for a move.
      expect(await ask(url ?? '', 'asked-for')).toMatch(/^200 .*MigrationRequest/);
      expect(await c.find(moves, made)).toBeDefined();
      await c.client.delete(moves, 'default', made);
      for (const name of ['asked-for', 'plain'])
        await c.client.delete(pods, 'default', name, { gracePeriodSeconds: 0 });
    });

    it('of a request that a user has cancelled keeps the pod', async ({ skip }) => {
      needsHelm(skip);
      const c = cluster();
      await c.run('cancelled', { podAnnotations: MIGRATE });
      expect(await evict(c, 'cancelled')).toMatch(/^429/);
      const { request } = await named(c, 'cancelled');
      await c.client.merge(moves, 'default', request, { spec: { cancel: true } });
      const { status } = await c.until(moves, request, ended('Cancelled'));
      expect(conditionsOf(status.conditions)['Succeeded']).toBe('False Cancelled');
      expect(await evict(c, 'cancelled')).toMatch(/^429 .*is kept/);
      await c.client.delete(moves, 'default', request);
      await c.client.delete(pods, 'default', 'cancelled', { gracePeriodSeconds: 0 });
    });
  });
}
