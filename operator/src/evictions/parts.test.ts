// SPDX-License-Identifier: Apache-2.0
// Budgets, nodes that are to be emptied, the webhook's configuration, reviews, and the pods of the guard.
import { describe, expect, it } from 'vitest';
import {
  annotations,
  labels,
  MigrationPolicy,
  type MigrationRequest,
} from '../../../crds/src/index.ts';
import {
  ConnectionError,
  Node,
  podDisruptionBudgets,
  silent,
  validatingWebhookConfigurations,
  type Context,
  type Pod,
} from '../../../kube/src/index.ts';
import { accepted, at, decision, migration, node, pod, succeeded } from '../../testing/objects.ts';
import { triggerOf } from '../nodes/emptied.ts';
import { budgetsOf, see } from './budgets.ts';
import { guarded, guardPods } from './guard.ts';
import { decideNode, nodeTriggerParts, type NodeTriggerParts } from './node-trigger.ts';
import { guardExpression, registered, webhookNames, type Registration } from './registration.ts';
import { answerReview, readReview } from './review.ts';
import { webhookOptionsFrom } from './webhook.ts';

const policy = (spec: object, name = 'pol'): MigrationPolicy =>
  MigrationPolicy.parse({ metadata: { name }, spec });

describe('a PodDisruptionBudget', () => {
  const budget = (spec: object, status: object = {}) =>
    podDisruptionBudgets.parse({ metadata: { name: 'b', generation: 2 }, spec, status });
  const set = { selector: { matchLabels: { set: 'x' } } };
  const own = pod({ metadata: { labels: { set: 'x' } } });
  const named = (name: string) => pod({ metadata: { name, uid: name, labels: { set: 'x' } } });
  const nothing = { pods: [], requests: [] };

  it('is for the pods that its selector selects', () => {
    const all = [budget(set), budget({ selector: {} }), budget({}), budget({ selector: null })];
    expect(budgetsOf(own, all)).toEqual([all[0], all[1]]);
    expect(budgetsOf(pod(), all)).toEqual([all[1]]);
  });

  it('allows nothing while nobody has looked at its newest spec', () => {
    const allowed = (observedGeneration: number): number =>
      see(budget(set, { disruptionsAllowed: 3, observedGeneration }), nothing, own).allowed;
    expect([allowed(1), allowed(2)]).toEqual([0, 3]);
  });

  it('is taken from by evictions of its other pods that its status does not show yet', () => {
    const granted = [own, named('q'), named('r'), pod({ metadata: { name: 's', uid: 's' } })];
    const at = (status: object): number =>
      see(budget(set, status), { ...nothing, granted }, own).evicting;
    expect([at({}), at({ disruptedPods: { q: '2026-03-04T05:06:07Z' } })]).toEqual([2, 1]);
  });

  it('counts moves of its other pods, before and after their decision', () => {
    const requests = [
      migration({ spec: { podName: 'q' } }),
      accepted({ target: { nodeName: 'b', podName: 'r-new' } }, { spec: { podName: 'r' } }),
      migration({ spec: { podName: 'p' } }),
      migration({ spec: { podName: 'stranger' } }),
      migration({ spec: { podName: 'q', dryRun: true } }),
      migration({ spec: { podName: 'q' }, status: { conditions: [succeeded('False', 'X')] } }),
    ];
    const pods = [own, named('q'), named('r-new')];
    expect(see(budget(set), { pods, requests }, own).moves).toBe(2);
  });

  it('counts a pod of a StatefulSet that moves twice as one', () => {
    const source = { nodeName: 'b', podName: 'q-1', podUID: 'u', standsInFor: 'q' };
    const requests = [
      accepted({ target: { nodeName: 'b', podName: 'q-1' } }, { spec: { podName: 'q' } }),
      accepted({ source, target: { nodeName: 'c', podName: 'q' } }, { spec: { podName: 'q-1' } }),
    ];
    expect(see(budget(set), { pods: [own, named('q-1')], requests }, own).moves).toBe(1);
  });

  describe('is taken from, for a plain eviction, by a move that', () => {
    const stands = (conditions: object[], metadata: object = {}): Pod =>
      pod({
        metadata: { name: 'q-1', uid: 'landing', labels: { set: 'x' }, ...metadata },
        status: { conditions },
      });
    const ready = [{ type: 'Ready', status: 'True' }];
    const controller = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'q', uid: 's' };
    const source = {
      ...{ nodeName: 'a', podName: 'q', podUID: 'u' },
      controller: { ...controller, handover: 'ByName' },
    };
    const landed = {
      ...{ source, target: { nodeName: 'b', podName: 'q-1', podUID: 'landing' } },
      decision: decision('Committed'),
      targetAgent: { state: 'Running' },
      secondMove: { requestName: 'second', attempt: 1, nodeName: 'c' },
    };
    const queued = { queue: { position: 1, waitsFor: 'Cluster', sourceNodeName: 'a' } };
    const first = (status: object): MigrationRequest =>
      migration({ spec: { podName: 'q' }, status: { ...status } });
    const second = (...conditions: object[]): MigrationRequest =>
      migration({
        metadata: { name: 'second', uid: 'second' },
        spec: { podName: 'q-1' },
        status: { source: { ...source, podName: 'q-1', standsInFor: 'q' }, conditions },
      });

    it.each<[string, number, MigrationRequest[], Pod]>([
      ['has just been asked for', 1, [migration({ spec: { podName: 'q' } })], stands(ready)],
      ['is queued', 0, [first(queued)], stands(ready)],
      ['waits on its landing pod', 0, [first(landed)], stands(ready)],
      [
        'waits after an attempt',
        0,
        [first(landed), second(succeeded('False', 'X'))],
        stands(ready),
      ],
      ['moves on', 1, [first(landed), second()], stands(ready)],
      ['has a landing pod that is not ready', 1, [first(landed)], stands([])],
      [
        'has one that is being deleted',
        1,
        [first(landed)],
        stands(ready, { deletionTimestamp: at(0) }),
      ],
      ['has one that was replaced', 1, [first(landed)], stands(ready, { uid: 'other' })],
      [
        'has one that is not resumed yet',
        1,
        [first({ ...landed, targetAgent: { state: 'Answering' } })],
        stands(ready),
      ],
      ['is not decided', 1, [first({ ...landed, decision: undefined })], stands(ready)],
      [
        'moves once',
        1,
        [first({ ...landed, source: { nodeName: 'a', podName: 'q', podUID: 'u' } })],
        stands(ready),
      ],
    ])('%s: %d', (_name, expected, requests, landing) => {
      const all = [own, named('q'), landing];
      const found = see(budget(set), { pods: all, requests }, own);
      expect([found.moves, found.disrupting]).toEqual([1, expected]);
    });
  });
});

describe('a node', () => {
  const tainted = Node.parse({
    metadata: { name: 'a' },
    spec: { taints: [{ key: 'reboot', value: 'soon', effect: 'NoSchedule' }] },
  });
  const cordon = policy({ nodes: { cordoned: true } });
  const taints = (...all: object[]) => policy({ nodes: { taints: all } });
  it.each<[string, Node, MigrationPolicy, string | undefined]>([
    ['that is cordoned', node('a', { cordoned: true }), cordon, 'Cordon'],
    ['that is not', node('a'), cordon, undefined],
    [
      'that is cordoned, without a policy for it',
      node('a', { cordoned: true }),
      policy({}),
      undefined,
    ],
    ['with the taint', tainted, taints({ key: 'reboot' }), 'Taint'],
    ['with another value', tainted, taints({ key: 'reboot', value: 'now' }), undefined],
    ['with another effect', tainted, taints({ key: 'reboot', effect: 'NoExecute' }), undefined],
    ['with one of two', tainted, taints({ key: 'x' }, { key: 'reboot', value: 'soon' }), 'Taint'],
  ])('%s', (_name, of, by, wanted) => {
    expect(triggerOf(of, by)).toBe(wanted);
  });

  it('is left by the pods of that policy, and not by those that arrive, or ask to be evicted', () => {
    const named = (name: string, notes: Record<string, string> = {}) =>
      pod({ metadata: { name, annotations: notes } });
    const plan = decideNode({
      node: node('a', { cordoned: true }),
      pods: [
        { pod: named('p'), policy: cordon },
        { pod: named('arrives', { [annotations.migration]: 'default/m' }), policy: cordon },
        { pod: named('evict', { [annotations.eviction]: 'evict' }), policy: cordon },
        { pod: named('other'), policy: policy({}) },
        { pod: named('none'), policy: undefined },
      ],
    });
    expect(plan.map((one) => [one.pod.metadata.name, one.trigger])).toEqual([['p', 'Cordon']]);
  });
});

describe('a pod that cannot be moved away now', () => {
  it('keeps no other on the node, and is tried again', async () => {
    const asked: string[] = [];
    const evictor = {
      evacuate: async ({ metadata }: Pod) => {
        asked.push(metadata.name);
        if (metadata.name !== 'fine') throw new ConnectionError('Unreachable', metadata.name);
      },
    };
    const parts = nodeTriggerParts({ evictor } as unknown as NodeTriggerParts);
    const byPolicy = policy({ nodes: { cordoned: true } });
    const observed = {
      node: node('a', { cordoned: true }),
      pods: ['bad', 'worse', 'fine'].map((name) => ({
        pod: pod({ metadata: { name, uid: name } }),
        policy: byPolicy,
      })),
    };
    const logged: object[] = [];
    const context = {
      signal: new AbortController().signal,
      log: { ...silent, warn: (fields: object) => void logged.push(fields) },
    } as unknown as Context;
    const { effects } = parts.decide(observed, 0);
    const run = async (): Promise<void> => {
      for (const one of effects) await parts.act(one, observed, context);
    };
    // The first failure: the controller comes again.
    await expect(run()).rejects.toThrow('bad');
    expect(asked).toEqual(['bad', 'worse', 'fine']);
    expect(logged).toMatchObject([{ pod: 'default/bad' }, { pod: 'default/worse' }]);
    expect(parts.decide({ ...observed, pods: [] }, 0).effects).toEqual([]);
  });
});

describe('the webhook’s configuration', () => {
  const chart = validatingWebhookConfigurations.parse({
    metadata: { name: 'c' },
    webhooks: [
      {
        name: webhookNames.all,
        failurePolicy: 'Ignore',
        sideEffects: 'NoneOnDryRun',
        clientConfig: { service: { name: 's', namespace: 'n', port: 443 } },
      },
      { name: 'foreign', clientConfig: { url: 'https://x' } },
    ],
  }).webhooks;
  const server = { certificates: 'PEM', path: '/evictions/1' };
  const apply = (...all: Registration[]) =>
    all.reduce((before, one) => registered(before, one) ?? before, [...chart]);
  const brief = (all: typeof chart) =>
    all.map((one) => [one.name, one.failurePolicy, one.matchConditions?.[0]?.expression]);

  it('gets the certificates and the path, and keeps everything else', () => {
    const [others, foreign] = apply({ server });
    expect(others).toEqual({
      ...chart[0],
      clientConfig: {
        service: { name: 's', namespace: 'n', port: 443, path: '/evictions/1' },
        caBundle: Buffer.from('PEM').toString('base64'),
      },
    });
    expect(foreign).toEqual(chart[1]);
  });

  it('fails for the pods of the guard alone, at a path that tells nothing', () => {
    const all = apply({ server }, { guard: 'X' });
    const names = [
      [webhookNames.all, 'Ignore', undefined],
      ['foreign', undefined, undefined],
      [webhookNames.guard, 'Fail', 'X'],
    ];
    expect(brief(all)).toEqual(names);
    const guarded = (one: typeof all) => ({
      ...one[0]?.clientConfig,
      service: { ...one[0]?.clientConfig.service, path: '/guard' },
    });
    expect(all[2]?.clientConfig).toEqual(guarded(all));
    expect(JSON.stringify(all[2])).not.toContain(server.path);
    // A new certificate leaves the guard as it is, in both.
    const changed = { server: { ...server, certificates: 'NEW' } };
    const renewed = apply({ server }, { guard: 'X' }, changed);
    expect(brief(renewed)).toEqual(brief(all));
    expect(renewed[2]?.clientConfig).toEqual(guarded(renewed));
    expect(renewed).not.toEqual(all);
  });

  it('takes the place of an earlier one whose guard had the secret path', () => {
    const called = { clientConfig: { url: 'https://x/evictions/1', caBundle: 'Q0E=' } };
    const only = (expression: string) => ({ matchConditions: [{ name: 'pods', expression }] });
    const earlier = [
      { name: webhookNames.all, failurePolicy: 'Ignore', ...called, ...only('!(X)') },
      { name: webhookNames.guard, failurePolicy: 'Fail', ...called, ...only('X') },
    ];
    const after = registered(earlier, { guard: 'X' }) ?? [];
    expect(brief(after)).toEqual([
      [webhookNames.all, 'Ignore', undefined],
      [webhookNames.guard, 'Fail', 'X'],
    ]);
    expect(after.map((one) => one.clientConfig.url)).toEqual([
      'https://x/evictions/1',
      'https://x/guard',
    ]);
  });

  it('has no guard where there is no pod for it', () => {
    expect(apply({ guard: 'X' }, { guard: guardExpression([]) })).toEqual(chart);
  });

  it('is not written when nothing is to be changed', () => {
    const all = apply({ server }, { guard: 'X' });
    expect(registered(all, { server, guard: 'X' })).toBeUndefined();
    expect(registered([], { guard: 'X' })).toBeUndefined();
  });
});

describe('the guard', () => {
  const at = (namespace: string, name: string) => ({ namespace, name });
  it('names pods, sorted and once, and their namespaces when they are too many', () => {
    const all = [at('b', 'x'), at('a', 'y'), at('b', 'x')];
    expect(guardExpression(all)).toBe("(request.namespace + '/' + request.name) in ['a/y','b/x']");
    expect(guardExpression(all, 11)).toBe("request.namespace in ['a','b']");
    expect(guardExpression(all, 3)).toBe('true');
  });

  it('is for pods of Sealift’s that are to be moved', () => {
    const raw = (name: string, more: object = {}, notes: Record<string, string> = {}) =>
      guardPods.parse({
        metadata: { name, namespace: 'n', labels: { app: name }, annotations: notes },
        spec: { runtimeClassName: 'sealift' },
        status: { phase: 'Running' },
        ...more,
      });
    const migrate = { [annotations.eviction]: 'migrate' };
    const all = [
      raw('asks', {}, migrate),
      raw('chosen'),
      raw('plain'),
      raw('pending', { status: {} }, migrate),
      raw('ended', { status: { phase: 'Failed' } }, migrate),
      raw('foreign', { spec: {} }, migrate),
    ];
    const by = policy({
      namespaceSelector: { matchLabels: { team: 'a' } },
      podSelector: { matchLabels: { app: 'chosen' } },
      eviction: { action: 'Migrate' },
    });
    const names = guarded(all, () => ({ team: 'a' }), [by]).map((one) => one.name);
    expect(names).toEqual(['asks', 'chosen', 'pending']);
    expect(all[5]?.metadata, 'little is kept of others').toMatchObject({
      labels: {},
      annotations: {},
    });
  });
});

describe('an AdmissionReview', () => {
  const review = (request: object = {}) => ({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u', namespace: 'n', name: 'p', subResource: 'eviction', ...request },
  });

  it('is read', () => {
    const deleteOptions = { preconditions: { uid: 'pod' } };
    expect(readReview(review({ object: { deleteOptions } }))).toEqual({
      uid: 'u',
      eviction: { namespace: 'n', podName: 'p', podUid: 'pod', isDryRun: false },
    });
    expect(readReview(review({ dryRun: true })).eviction.isDryRun).toBe(true);
    const dry = { object: { deleteOptions: { dryRun: ['All'] } } };
    expect(readReview(review(dry)).eviction.isDryRun).toBe(true);
    for (const bad of [{}, review({ subResource: 'exec' }), review({ name: '' })]) {
      expect(() => readReview(bad)).toThrow();
    }
  });

  it('is answered as a PodDisruptionBudget answers', () => {
    const answer = answerReview('u', { verdict: 'Refuse', message: 'No.', isBudget: true });
    expect(answer).toMatchObject({
      response: {
        uid: 'u',
        allowed: false,
        status: { code: 429, reason: 'TooManyRequests', message: 'No.' },
      },
    });
    // client-go repeats a request by itself if it is told when.
    expect(JSON.stringify(answer)).not.toMatch(/retryAfterSeconds/);
    expect(JSON.stringify(answer)).toMatch(/"reason":"DisruptionBudget"/);
    const long = answerReview('u', { verdict: 'Allow', warning: 'x'.repeat(999) });
    expect(JSON.stringify(long).length).toBeLessThan(500);
  });
});

describe('the webhook’s variables', () => {
  it('are all there, or none', () => {
    const all = {
      SEALIFT_WEBHOOK_PORT: '7463',
      SEALIFT_WEBHOOK_CONFIGURATION: 'c',
      SEALIFT_WEBHOOK_SECRET: 's',
      SEALIFT_WEBHOOK_DNS_NAME: 'd',
    };
    expect(webhookOptionsFrom({})).toBeUndefined();
    expect(webhookOptionsFrom(all)).toMatchObject({ port: 7463, dnsName: 'd' });
    expect(() => webhookOptionsFrom({ ...all, SEALIFT_WEBHOOK_PORT: '' })).toThrow(/needs/);
  });
});

it('a target is no pod of a budget’s moves twice', () => {
  const target = pod({
    metadata: { name: 'p-reque', labels: { set: 'x', [labels.role]: 'target' } },
  });
  const budget = podDisruptionBudgets.parse({
    metadata: { name: 'b' },
    spec: { selector: { matchLabels: { set: 'x' } } },
  });
  const source = pod({ metadata: { labels: { set: 'x' } } });
  const other = pod({ metadata: { name: 'q', labels: { set: 'x' } } });
  expect(see(budget, { pods: [source, target], requests: [accepted()] }, other).moves).toBe(1);
});
