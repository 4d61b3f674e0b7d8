// SPDX-License-Identifier: Apache-2.0
// A pod that its controller finds by its name, where there are two nodes (docs/adr/0044).
import { describe, expect, it } from 'vitest';
import { annotations } from '../../../crds/src/index.ts';
import {
  controller,
  landed,
  landing,
  nobody,
  nodes,
  ready,
  source,
} from '../../testing/landing-pod.ts';
import { effects, message, published, see, summary } from '../../testing/migration.ts';
import {
  accepted,
  at,
  container,
  decision,
  migration,
  node,
  NOW,
  pod,
  succeeded,
  target,
} from '../../testing/objects.ts';
import { MoveQueue } from '../moves/move-queue.ts';
import { staleMs } from '../nodes/memory-seen.ts';
import { decideMigration } from './decide.ts';
import { placeOf } from './landing.ts';
import type { Observed } from './types.ts';

describe('a landing pod', () => {
  const look = (parts: Partial<Observed>, more: object = {}): Observed =>
    see({
      request: accepted({ ...landed, ...more }),
      sourcePod: undefined,
      targetPod: landing(),
      nodes,
      nameTrial: 'reserved',
      ...parts,
    });

  describe('that no node can take under its name', () => {
    const waiting = { conditions: [succeeded('Unknown', 'NoNodeForName')] };
    const free = landing(ready, { ownerReferences: [] });
    const cordoned = [node('a', { cordoned: true }), node('b')];

    it('serves, belongs to nobody, and waits', () => {
      const first = look({ nodes: cordoned });
      const plan = decideMigration(first, NOW);
      expect(plan.effects).toEqual([{ type: 'ReleaseLanding', uid: 'target-uid' }]);
      const next = decideMigration({ ...published(first, plan), targetPod: free }, NOW);
      expect(next.effects).toEqual([]);
      expect(summary(next)).toBe('Unknown NoNodeForName');
      expect(message(next)).toMatch(/^Pod p-reque stands in for pod p on b\. .*No other node is/);
      expect(next.status?.secondMove).toBeUndefined();
    });

    it('keeps its owner if nobody knows what its controller does with a pod that has none', () => {
      const crew = { ...controller, apiVersion: 'example.org/v1', kind: 'Crew' };
      const own = { source: { ...source, controller: crew } };
      const plan = decideMigration(look({ nodes: cordoned }, own), NOW);
      expect(plan.effects).toEqual([]);
      expect(summary(plan)).toBe('Unknown NoNodeForName');
    });

    it('goes back to its own node by way of the source’s once that one takes pods', () => {
      const two = nodes.slice(0, 2);
      const plan = decideMigration(look({ nodes: two, targetPod: free }, waiting), NOW);
      expect(effects(plan)).toEqual(['CreateSecondMove']);
      expect(plan.status?.secondMove?.nodeName).toBe('b');
      expect(summary(plan), 'it takes a place in the limits again').toBe('Unknown Committed');
    });

    it('goes to a node that comes instead', () => {
      const more = [...cordoned, node('c')];
      const plan = decideMigration(look({ nodes: more, targetPod: free }, waiting), NOW);
      expect(plan.status?.secondMove?.nodeName).toBe('c');
    });

    it('goes to the source’s node if its own takes no pods', () => {
      const swapped = [node('a'), node('b', { cordoned: true })];
      const plan = decideMigration(look({ nodes: swapped, targetPod: free }, waiting), NOW);
      expect(plan.status?.secondMove?.nodeName).toBe('a');
    });

    it('waits on the node that the user has named', () => {
      const request = accepted({ ...landed, ...waiting }, { spec: { targetNodeName: 'b' } });
      const plan = decideMigration(look({ request, nodes: cordoned, targetPod: free }), NOW);
      expect(plan.effects).toEqual([]);
      expect(message(plan)).toMatch(/by way of another node, and no other one can take it now\.$/);
      const swapped = [node('a'), node('b', { cordoned: true })];
      const kept = decideMigration(look({ request, nodes: swapped, targetPod: free }), NOW);
      expect(kept.effects, 'nor does it end elsewhere').toEqual([]);
      const back = decideMigration(look({ request, targetPod: free }), NOW);
      expect(back.status?.secondMove?.nodeName).toBe('b');
    });

    it('goes on only when the limits allow it again', () => {
      const busy = { total: 5, out: new Map(), into: new Map() };
      const parts = { targetPod: free, moves: { ...look({}).moves, underWay: busy } };
      const plan = decideMigration(look(parts, waiting), NOW);
      expect(plan.effects).toEqual([]);
      expect(summary(plan)).toBe('Unknown NoNodeForName');
      expect(message(plan)).toMatch(/5 migrations are under way in the cluster/);
      expect(effects(decideMigration(look(parts), NOW)), 'it still has its place').toEqual([
        'CreateSecondMove',
      ]);
    });
  });
});

describe('a landing pod on b, and nodes that lack the memory for it', () => {
  const GIB = 2 ** 30;
  const memory = (has: Record<string, number>): Observed['memory'] => ({
    of: (name) => {
      const available = has[name];
      if (available === undefined) return undefined;
      return { available, hugePages: new Map(), keepsImages: false };
    },
    taken: () => 0,
  });
  const needs = { bytes: 4 * GIB };
  const look = (parts: Partial<Observed>, more: object = {}): Observed =>
    see({
      request: accepted({
        // The operator has seen the decision a minute ago.
        ...{ source, decision: decision('Committed'), deadlines: { confirmation: at(240) } },
        sourceAgent: { state: 'Gone', memory: needs },
        targetAgent: { state: 'Running', resumedAt: at(-60) },
        ...more,
      }),
      ...{ sourcePod: undefined, nodes, nameTrial: 'reserved' },
      targetPod: landing(ready, { ownerReferences: [] }),
      ...parts,
    });

  it.each<[string, Record<string, number>, string | undefined]>([
    ['goes to the further node that has it', { a: 0, b: 0, c: 5 * GIB }, 'c'],
    ['comes back by way of the source’s node if only that has it', { a: 5 * GIB, b: 0, c: 1 }, 'b'],
    ['waits if none has it', { a: 0, b: 0, c: 1 }, undefined],
  ])('%s', (_name, has, end) => {
    const plan = decideMigration(look({ memory: memory(has) }), NOW);
    expect(plan.status?.secondMove?.nodeName).toBe(end);
    expect(summary(plan)).toBe(`Unknown ${end === undefined ? 'NoNodeForName' : 'Committed'}`);
    if (end === undefined)
      expect(message(plan)).toMatch(
        /node a has 0 bytes of memory available.*, and 1 more are like it/,
      );
  });

  it('keeps its place while the node that it has left may have more than its agent has said', () => {
    const deadlines = { confirmation: at(271) };
    const seen = look({ memory: memory({ a: 0, c: 1 }) }, { deadlines });
    expect(summary(decideMigration(seen, NOW))).toBe('Unknown Committed');
    expect(summary(decideMigration(seen, NOW + 1000))).toBe('Unknown NoNodeForName');
    const cordoned = {
      ...seen,
      nodes: nodes.map(({ metadata: { name } }) => node(name, { cordoned: true })),
    };
    expect(summary(decideMigration(cordoned, NOW)), 'which does not matter').toBe(
      'Unknown NoNodeForName',
    );
  });

  it.each([-3600, 0, 3540, undefined])(
    'keeps it as long, whatever the clock of its node is ahead by: %s s',
    (skew) => {
      const resumedAt = skew === undefined ? undefined : at(skew);
      const status = { deadlines: undefined, targetAgent: { state: 'Running', resumedAt } };
      const first = look({ memory: memory({ a: 0, c: 1 }) }, status);
      const plan = decideMigration(first, NOW);
      expect(summary(plan)).toBe('Unknown Committed');
      const seen = published(first, plan);
      expect(summary(decideMigration(seen, NOW + staleMs - 1))).toBe('Unknown Committed');
      expect(summary(decideMigration(seen, NOW + staleMs))).toBe('Unknown NoNodeForName');
    },
  );

  it('goes by what it has come to since the first move', () => {
    const failure = { ...succeeded('False', 'NotEnoughMemory'), message: 'Too little.' };
    const secondMove = migration({
      metadata: { name: 'second', uid: 'second-uid' },
      status: {
        sourceAgent: { state: 'Resumed', memory: { bytes: 8 * GIB } },
        conditions: [failure],
      },
    });
    const record = { secondMove: { requestName: 'second', attempt: 1, nodeName: 'c' } };
    const seen = look({ memory: memory({ a: 0, c: 5 * GIB }), secondMove }, record);
    const early = decideMigration(seen, NOW + 9_999);
    expect([effects(early), summary(early)]).toEqual([[], 'Unknown NoNodeForName']);
    expect(message(early)).toMatch(/^Too little\. p-reque runs on/);
    const plan = decideMigration(seen, NOW + 10_000);
    expect([effects(plan), summary(plan)]).toEqual([[], 'Unknown NoNodeForName']);
    const more = { ...seen, memory: memory({ a: 0, c: 9 * GIB }) };
    expect(effects(decideMigration(more, NOW + 10_000))).toEqual(['CreateSecondMove']);
  });
});

describe('the second move', () => {
  const first = accepted({
    source,
    decision: decision('Committed'),
    targetAgent: { state: 'Running' },
  });
  const annotated = {
    [annotations.requestUid]: 'request-uid',
    [annotations.migration]: 'default/move',
  };
  const placed = { ...source, nodeName: 'b', podName: 'p-reque', podUID: 'target-uid' };
  const ask = (parts: Partial<Observed> = {}): Observed =>
    see({ sourcePod: landing(), firstMove: first, nodes, ...parts });

  describe('that comes back to the node of its landing pod', () => {
    const back = { podName: 'p-reque', targetNodeName: 'b' };
    const two = nodes.slice(0, 2);
    const request = migration({
      metadata: { name: 'second', uid: 'second-uid', annotations: annotated },
      spec: back,
    });

    it('makes another landing pod, which stands in for the same name', () => {
      const plan = decideMigration(ask({ request, nodes: two }), NOW);
      expect(plan.status?.source).toMatchObject({ standsInFor: 'p', controller, nodeName: 'b' });
      expect(plan.effects).toEqual([
        { type: 'CreateTarget', nodeNames: ['a'], podName: 'p-secon' },
      ]);
    });

    const record = { requestName: 'second', attempt: 1, nodeName: 'b' };
    const middle = migration({
      metadata: { name: 'second', uid: 'second-uid', annotations: annotated },
      spec: back,
      status: {
        startTime: at(0),
        source: { ...placed, standsInFor: 'p' },
        target: { nodeName: 'a', podName: 'p-secon', podUID: 'target-uid' },
        decision: decision('Committed'),
        deadlines: { confirmation: at(300), blackout: at(60) },
        sourceAgent: { state: 'Gone' },
        targetAgent: { state: 'Running', resumedAt: at(11) },
      },
    });
    const again = target('second-uid', {
      metadata: { name: 'p-secon', labels: {}, ownerReferences: nobody },
      status: { ...ready, containerStatuses: [container({ running: {} }, { ready: true })] },
      spec: { nodeName: 'a' },
    });
    const seen = (parts: Partial<Observed> = {}): Observed =>
      see({ ...{ request: middle, sourcePod: undefined, targetPod: again, nodes: two }, ...parts });

    it('deletes the first landing pod before it goes on, and tries no name', () => {
      const plan = decideMigration(seen({ sourcePod: landing() }), NOW);
      expect(effects(plan)).toEqual(['DeleteSource']);
    });

    it('goes on to the name by a request of its own', () => {
      const plan = decideMigration(seen(), NOW);
      expect(effects(plan)).toEqual(['CreateSecondMove']);
      expect(plan.status?.secondMove?.nodeName).toBe('b');
      const last = migration({
        metadata: {
          ...{ name: 'last', uid: 'last-uid' },
          annotations: {
            [annotations.requestUid]: 'second-uid',
            [annotations.migration]: 'default/second',
          },
        },
        spec: { podName: 'p-secon', targetNodeName: 'b' },
      });
      expect(placeOf(last, middle, again)).toEqual({ name: 'p', controller });
      const next = decideMigration(
        see({ request: last, firstMove: middle, sourcePod: again, nodes: two }),
        NOW,
      );
      expect(next.effects).toEqual([{ type: 'CreateTarget', nodeNames: ['b'], podName: 'p' }]);
    });

    it('counts as under way no more than its first one while its landing pod waits', () => {
      const cordoned = [node('a'), node('b', { cordoned: true })];
      const free = target('second-uid', {
        metadata: { name: 'p-secon', labels: {}, ownerReferences: [] },
        status: { ...ready, containerStatuses: [container({ running: {} }, { ready: true })] },
        spec: { nodeName: 'a' },
      });
      const own = seen({ nodes: cordoned, targetPod: free });
      const { request: waiting } = published(own, decideMigration(own, NOW));
      const before = see({
        request: accepted({ ...first.status, secondMove: record }),
        ...{ sourcePod: undefined, targetPod: undefined, nodes: cordoned, secondMove: waiting },
      });
      const plan = decideMigration(before, NOW);
      expect([effects(plan), summary(plan)]).toEqual([[], 'Unknown NoNodeForName']);
      expect(message(plan)).toMatch(/^MigrationRequest second moves .* Pod p-secon stands in for/);
      const queue = new MoveQueue();
      for (const one of [published(before, plan).request, waiting]) queue.update(one, undefined);
      expect(queue.look(migration()).underWay.total).toBe(0);
      const { request: going } = published(seen(), decideMigration(seen(), NOW));
      const next = decideMigration({ ...published(before, plan), secondMove: going }, NOW);
      expect(summary(next)).toBe('Unknown Committed');
    });

    it('touches no other pod that has the name', () => {
      const other = pod({ metadata: { uid: 'somebody' } });
      const plan = decideMigration(seen({ namedPod: other }), NOW);
      expect(plan.effects).toEqual([]);
      expect(message(plan)).toMatch(/^Another pod has the name p, and Sealift has not made it/);
    });

    it('says which name is lost with it', () => {
      const plan = decideMigration(seen({ targetPod: undefined }), NOW);
      expect(summary(plan)).toBe('False TargetLost');
      expect(message(plan)).toMatch(/^Pod p-secon, which stood in for pod p, is lost/);
    });
  });
});
