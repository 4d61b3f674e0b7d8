// SPDX-License-Identifier: Apache-2.0
// The request for a pod that its controller finds by its name, as tables (docs/adr/0025).
import { describe, expect, it } from 'vitest';
import { effects, published, see, summary } from '../../testing/migration.ts';
import { accepted, migration, node, NOW, pod, target } from '../../testing/objects.ts';
import { namespaceOwner } from '../target-pod/ownership.ts';
import { decideMigration } from './decide.ts';
import { secondName } from './landing.ts';
import type { Observed } from './types.ts';

const set = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'p', uid: 'set-uid' };
const owned = [{ ...set, controller: true }];
const nobody = [namespaceOwner('default', 'namespace-uid')];
const source = {
  ...{ nodeName: 'a', podName: 'p', podUID: 'pod-uid' },
  controller: { ...set, handover: 'ByName' },
};
const nodes = ['a', 'b', 'c'].map((name) => node(name));
const member = pod({ metadata: { ownerReferences: owned } });
const landing = (): Observed['targetPod'] =>
  target('request-uid', { metadata: { labels: {}, ownerReferences: nobody } });

describe('the request for a pod of a StatefulSet', () => {
  const ask = (spec: Record<string, unknown> = {}, more: Partial<Observed> = {}): Observed =>
    see({ request: migration({ spec }), sourcePod: member, nodes, ...more });

  it.each<[string, Record<string, unknown>, string[], string]>([
    ['lands on another node than the one where it ends', {}, ['a', 'b', 'c'], 'b c'],
    [
      'leaves the node that the user names for the end',
      { targetNodeName: 'b' },
      ['a', 'b', 'c'],
      'c',
    ],
    ['may come back', { targetNodeName: 'a' }, ['a', 'b'], 'b'],
    ['lands where it ends if there is no third node', {}, ['a', 'b'], 'b'],
    ['lands on the node that the user names then', { targetNodeName: 'b' }, ['a', 'b'], 'b'],
    ['needs one to land on', { targetNodeName: 'a' }, ['a'], 'NoLandingNode'],
    ['ends on a node that there is', { targetNodeName: 'x' }, ['a', 'b'], 'TargetNodeNotFound'],
  ])('%s', (_name, spec, names, expected) => {
    const plan = decideMigration(ask(spec, { nodes: names.map((name) => node(name)) }), NOW);
    const found = plan.status?.target?.nodeName;
    if (found === undefined) expect(summary(plan)).toBe(`False ${expected}`);
    else expect(expected.split(' ')).toContain(found);
    expect(plan.status?.source?.standsInFor).toBeUndefined();
  });

  it('is refused if a lost pod is to be restored from a checkpoint: its set replaces it', () => {
    const plan = decideMigration(ask({ onSourceLoss: 'RestoreNewestCheckpoint' }), NOW);
    expect(summary(plan)).toBe('False PodHasController');
  });

  it('names the node where the pod ends in a dry run', () => {
    const plan = decideMigration(ask({ dryRun: true, targetNodeName: 'c' }), NOW);
    expect(plan.status?.inspection?.targetNodeName).toBe('c');
    expect(plan.effects).toEqual([]);
  });

  it('lands elsewhere if a node has no room for it, as long as another one is left', () => {
    const noRoom = {
      ...{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'full' },
    };
    const targetPod = target('request-uid', {
      spec: { nodeName: '' },
      status: { conditions: [noRoom] },
    });
    const request = accepted({ source });
    const seen = see({ request, sourcePod: member, targetPod, nodes, unschedulableMs: 60_000 });
    const two = { ...seen, nodes: nodes.slice(0, 2) };
    expect(effects(decideMigration(two, NOW)), 'none is left').toEqual(['ProposeAbort']);
    const last = decideMigration({ ...published(seen, decideMigration(seen, NOW)) }, NOW);
    expect(effects(last), 'only c is left').toEqual(['DeleteTarget']);
    const more = { ...seen, nodes: [...nodes, node('d')] };
    const plan = decideMigration(more, NOW);
    expect(effects(plan)).toEqual(['DeleteTarget']);
    const next = decideMigration({ ...published(more, plan), targetPod: undefined }, NOW);
    expect(['c', 'd']).toContain(next.status?.target?.nodeName);
  });

  it('holds nothing before the name is reserved, and waits until the prepare deadline', () => {
    const request = accepted({ source, targetAgent: { state: 'AtCreateGate' } });
    const seen = see({ request, sourcePod: member, targetPod: landing(), nodes });
    for (const nameTrial of [undefined, 'no such policy']) {
      const plan = decideMigration({ ...seen, nameTrial }, NOW);
      expect(plan.status?.deadlines?.blackout).toBeUndefined();
      expect(effects(plan)).toEqual([]);
      expect(summary(plan)).toBe('Unknown NameNotReserved');
      const late = decideMigration({ ...seen, nameTrial }, NOW + 300_001);
      expect(late.effects).toMatchObject([{ type: 'ProposeAbort', reason: 'NameNotReserved' }]);
    }
    const plan = decideMigration({ ...seen, nameTrial: 'reserved' }, NOW);
    expect(plan.status?.deadlines?.blackout).toBeDefined();
    const begun = { ...seen, nameTrial: 'reserved' };
    const next = published(begun, plan);
    expect(effects(decideMigration({ ...next, nameTrial: undefined }, NOW)), 'once begun').toEqual(
      [],
    );
  });
});

describe('the name of the request of the second move', () => {
  it.each([
    ['m', 1],
    // As the plugin names the request of a pod with a long name; and the longest that the definition takes.
    [`${'p'.repeat(50)}-x7k2q`, 1],
    ['p'.repeat(63), 12345],
    // Where it is cut there is no end of a name.
    [`${'p'.repeat(50)}.-.q.-.q.-.q`, 7],
  ])('of %s, attempt %d, is one that the API server takes', (name, attempt) => {
    const uid = '0d1e2f3a-1111-2222-3333-444444444444';
    const made = secondName(migration({ metadata: { name, uid } }), attempt);
    expect(made).toMatch(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/);
    expect(made).toMatch(new RegExp(`-0d1e2f3a-${attempt}$`));
    expect(made.length).toBeLessThanOrEqual(63);
  });
});
