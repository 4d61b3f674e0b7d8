// SPDX-License-Identifier: Apache-2.0
// The target goes only to a node that has the memory for the pod.
import { describe, expect, it } from 'vitest';
import { neededBytes, type NodeMemory, type PodMemory } from '../../../crds/src/index.ts';
import { effects, published, see, summary } from '../../testing/migration.ts';
import {
  accepted,
  at,
  conditionsOf,
  migration,
  node,
  NOW,
  pod,
  target,
} from '../../testing/objects.ts';
import { decideMigration } from './decide.ts';
import { hasRoom, isElsewhere, isReserving } from './target-memory.ts';
import type { MigrationPlan, Observed } from './types.ts';
import { chooseAnother } from './validate.ts';

const GIB = 2 ** 30;
const needs: PodMemory = { bytes: 4 * GIB };
const enough = neededBytes(needs.bytes);
type Has = Record<string, number | NodeMemory | undefined>;

const memoryOf = (has: Has, taken: Record<string, number> = {}): Observed['memory'] => ({
  of: (name) => {
    const found = has[name];
    if (typeof found !== 'number') return found;
    return { available: found, hugePages: new Map(), keepsImages: false };
  },
  taken: (name) => taken[name] ?? 0,
});
const nodes = ['a', 'b', 'c', 'd'].map((name) => node(name));
/** Accepted for nodes `b` and `c`, and the source's agent has reported. */
const asked = (
  has: Has,
  more: Partial<Observed> & {
    readonly status?: Record<string, unknown>;
    readonly spec?: Record<string, unknown>;
    readonly taken?: Record<string, number>;
  } = {},
): Observed => {
  const { status, spec, taken, ...parts } = more;
  const report = { sourceAgent: { state: 'Waiting', memory: needs } };
  const candidates = { target: { podName: 'p-reque', candidates: ['b', 'c'] } };
  return see({
    nodes,
    request: accepted({ ...report, ...candidates, ...status }, { ...(spec && { spec }) }),
    memory: memoryOf(has, taken),
    ...parts,
  });
};
const targetOf = (plan: MigrationPlan): unknown => plan.status?.target;
const ready = (plan: MigrationPlan): string | undefined =>
  conditionsOf(plan.status?.conditions)['TargetReady'];
const textOf = (plan: MigrationPlan): string =>
  plan.status?.conditions?.find(({ type }) => type === 'TargetReady')?.message ?? '';

describe('a new request', () => {
  const plan = (memory: Observed['memory']): MigrationPlan =>
    decideMigration(see({ request: migration(), memory }), NOW);

  it('creates its target at once where no agent says how much memory there is', () => {
    expect(effects(plan(undefined))).toEqual(['CreateTarget']);
    expect(effects(plan(memoryOf({ a: GIB })))).toEqual(['CreateTarget']);
  });

  it('waits else for what its source’s agent says of the pod', () => {
    const first = plan(memoryOf({ b: GIB }));
    expect([effects(first), first.status?.target?.nodeName]).toEqual([[], 'b']);
    const seen = see({ request: migration(), memory: memoryOf({ b: GIB }) });
    const second = decideMigration(published(seen, first), NOW + 1000);
    expect([effects(second), ready(second), second.requeueAfterMs]).toEqual([
      ...[[], 'Unknown Waiting'],
      9000,
    ]);
    const late = decideMigration(published(seen, first), NOW + 10_000);
    expect(effects(late), 'the agent does not look').toEqual(['CreateTarget']);
  });

  it('does not wait for an agent of an earlier version, which does not say it', () => {
    const status = { sourceAgent: { state: 'Waiting' } };
    expect(effects(decideMigration(asked({ b: 0, c: 0 }, { status }), NOW))).toEqual([
      'CreateTarget',
    ]);
  });
});

describe('a target that is not created yet', () => {
  it.each<[string, Has, Record<string, number>, object]>([
    [
      'may get all nodes that have the memory',
      { b: enough, c: enough },
      {},
      { candidates: ['b', 'c'] },
    ],
    ['may get none that lacks a byte', { b: enough - 1, c: enough }, {}, { nodeName: 'c' }],
    [
      'may get none whose memory others have found',
      { b: enough + GIB, c: enough + GIB },
      { b: GIB + 1, c: GIB },
      { nodeName: 'c' },
    ],
    ['may get one that does not say', { b: 0 }, {}, { nodeName: 'c' }],
  ])('%s', (_name, has, taken, place) => {
    const seen = asked(has, { taken });
    const plan = decideMigration(seen, NOW);
    expect(targetOf(plan)).toMatchObject({ podName: 'p-reque', memory: needs, ...place });
    expect([effects(plan), isReserving(seen.request, plan.status!)]).toEqual([[], true]);
    expect(isElsewhere(seen.request, plan.status!)).toBe(false);
    expect(hasRoom(seen, plan.status!)).toBe(true);
    const next = decideMigration(published(seen, plan), NOW);
    expect(next.effects).toMatchObject([{ type: 'CreateTarget' }]);
  });

  it('has no candidates any more where one node is left', () => {
    const plan = decideMigration(asked({ b: 0, c: enough }), NOW);
    expect(plan.status?.target?.candidates).toBeUndefined();
    expect(plan.status?.target?.agentAddress).toBe('c:7461');
  });

  it('gets other nodes, if those of the beginning lack it', () => {
    const seen = asked({ b: 0, c: 0, d: enough });
    const plan = decideMigration(seen, NOW);
    expect(targetOf(plan)).toEqual({ podName: 'p-reque', nodeName: 'd', agentAddress: 'd:7461' });
    expect([effects(plan), isElsewhere(seen.request, plan.status!)]).toEqual([[], true]);
    const next = decideMigration(published(seen, plan), NOW);
    expect(targetOf(next)).toMatchObject({ nodeName: 'd', memory: needs });
  });

  it('loses the memory if another request has found it in between', () => {
    const taken = { b: 0 };
    const seen = asked({ b: enough, c: 0 }, { taken });
    const plan = decideMigration(seen, NOW);
    taken.b = 1;
    expect(hasRoom(seen, plan.status!)).toBe(false);
  });
});

describe('no node has the memory', () => {
  it.each<[string, Has, object, RegExp]>([
    [
      'of all',
      { b: GIB, c: 2 * GIB, d: 3 * GIB },
      {},
      /^No node can have the pod: node b has 1 GiB \(1073741824 bytes\) of memory available; the pod and some to spare need 4\.3 GiB \(\d+ bytes\), and 2 more are like it\.$/,
    ],
    [
      'of those that the user names',
      { b: GIB, d: 9 * GIB },
      { spec: { targetNodeName: 'b' }, status: { target: { podName: 'p', nodeName: 'b' } } },
      /^Node b has 1 GiB \(1073741824 bytes\) of memory available; .*; name another one or/,
    ],
    [
      'of those that are left',
      { b: GIB, c: GIB, d: 9 * GIB },
      { status: { triedNodes: [{ nodeName: 'd', reason: 'TargetUnschedulable', message: '' }] } },
      /node b has 1 GiB .*, and 1 more are like it/,
    ],
  ])('%s: the request is aborted, and nothing was created', (_name, has, more, message) => {
    const plan = decideMigration(asked(has, more), NOW);
    expect(plan.effects).toEqual([
      {
        type: 'ProposeAbort',
        reason: 'NotEnoughMemory',
        message: expect.stringMatching(message) as string,
      },
    ]);
    expect(summary(plan)).toBe('Unknown NotEnoughMemory');
  });

  it('as long as others need it: the request waits, and says for what', () => {
    const has = { b: enough, c: GIB, d: GIB };
    const seen = asked(has, { taken: { b: 1024 } });
    const plan = decideMigration(seen, NOW);
    expect([effects(plan), ready(plan)]).toEqual([[], 'Unknown NotEnoughMemory']);
    expect(textOf(plan)).toMatch(
      /pods on their way there take 1 KiB .* until other moves have ended/,
    );
    expect(targetOf(plan)).toMatchObject({ candidates: ['b', 'c'] });
    expect(targetOf(plan)).not.toHaveProperty('memory');
    const past = decideMigration(seen, NOW + 300_001);
    expect(past.effects).toMatchObject([{ type: 'ProposeAbort', reason: 'NotEnoughMemory' }]);
  });

  it('but one that takes no more moves: the request waits', () => {
    const { moves } = see();
    const full = { ...moves, underWay: { ...moves.underWay, into: new Map([['d', 2]]) } };
    const plan = decideMigration(asked({ b: 0, c: 0, d: enough }, { moves: full }), NOW);
    expect([effects(plan), ready(plan)]).toEqual([[], 'Unknown NotEnoughMemory']);
    expect(textOf(plan)).toMatch(/take no more moves for now/);
  });

  it('of another request, or of a target that exists, it does not matter', () => {
    const made = {
      status: { target: { podName: 'p-reque', nodeName: 'b', podUID: 'target-uid' } },
    };
    const seen = asked({ b: 0 }, { ...made, targetPod: target('request-uid') });
    expect(decideMigration(seen, NOW).effects).toEqual([]);
  });
});

describe('a pod that moves twice', () => {
  const controller = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 's', uid: 's-uid' };
  const source = {
    ...{ nodeName: 'a', podName: 'p', podUID: 'pod-uid' },
    controller: { ...controller, handover: 'ByName' },
  };
  const owner = { ...controller, controller: true };
  const owned = pod({ metadata: { ownerReferences: [owner] } });
  const plan = (has: Has): MigrationPlan =>
    decideMigration(asked(has, { status: { source }, sourcePod: owned }), NOW);

  it('needs a second node with the memory, where it ends', () => {
    expect(plan({ b: enough, c: 0, d: enough }).status?.target).toMatchObject({ nodeName: 'b' });
    expect(plan({ b: enough, c: 0, d: 0 }).effects).toEqual([
      {
        type: 'ProposeAbort',
        reason: 'NotEnoughMemory',
        message: expect.stringMatching(
          /memory on both: node c has 0 bytes of memory .*, and 1 more are like it\. Free memory there/,
        ) as string,
      },
    ]);
  });

  it('lands on nodes that were busy when a node for its end was named', () => {
    const more = {
      status: { source, target: { podName: 'p-reque', nodeName: 'c' } },
      ...{ spec: { targetNodeName: 'b' }, sourcePod: owned },
    };
    const seen = asked({ b: enough, c: 0, d: enough }, more);
    const first = decideMigration(seen, NOW);
    expect([effects(first), targetOf(first)]).toMatchObject([[], { nodeName: 'd' }]);
    const next = decideMigration(published(seen, first), NOW);
    expect(targetOf(next)).toMatchObject({ nodeName: 'd', memory: needs });
    const none = decideMigration(asked({ b: enough, c: 0, d: 0 }, more), NOW);
    expect(none.effects, 'and ends nowhere else').toMatchObject([{ type: 'ProposeAbort' }]);
  });

  it('ends on the node that is named, and does not land there once that has refused it', () => {
    const triedNodes = [{ nodeName: 'b', podUID: 'x', reason: 'NotEnoughMemory', message: '' }];
    const status = { source, triedNodes };
    const more = { status, spec: { targetNodeName: 'b' }, sourcePod: owned };
    const seen = { ...asked({}, more), nodes: nodes.slice(0, 2) };
    expect(chooseAnother(seen, new Set(['b']), false)).toMatchObject({ reason: 'NoLandingNode' });
    const three = { ...seen, nodes: nodes.slice(0, 3) };
    expect(chooseAnother(three, new Set(['b']), false)).toMatchObject([
      { metadata: { name: 'c' } },
    ]);
    const free = asked({}, { status, sourcePod: owned });
    const busy = new Set(['d']);
    expect(chooseAnother({ ...free, nodes: nodes.slice(0, 2) }, busy, false)).toMatchObject([
      { metadata: { name: 'b' } },
    ]);
  });

  it('waits where only other moves keep the second node from it', () => {
    const more = { taken: { c: 1 }, status: { source }, sourcePod: owned };
    const seen = asked({ b: enough, c: enough, d: 0 }, more);
    expect([ready(decideMigration(seen, NOW)), effects(decideMigration(seen, NOW))]).toEqual([
      ...['Unknown NotEnoughMemory', []],
    ]);
  });
});

describe('a landing pod that comes back to its own node', () => {
  it('needs no memory there, as it has it', () => {
    const placed = { nodeName: 'a', podName: 'p', podUID: 'pod-uid', standsInFor: 'web-0' };
    const controller = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 's-uid' };
    const source = { ...placed, controller: { ...controller, handover: 'ByName' } };
    const more = { status: { source }, spec: { targetNodeName: 'a' } };
    const plan = decideMigration(asked({ a: 0, b: enough, c: 0, d: 0 }, more), NOW);
    expect(plan.effects).toEqual([]);
    expect(targetOf(plan)).toMatchObject({ nodeName: 'b', memory: needs });
  });
});

describe('a landing pod that goes to a node which it has just left', () => {
  const placed = { nodeName: 'a', podName: 'p', podUID: 'pod-uid', standsInFor: 'web-0' };
  const controller = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 's-uid' };
  const named = { controller: { ...controller, handover: 'ByName' } };
  const status = { target: { podName: 'web-0', nodeName: 'b' } };
  const spec = { targetNodeName: 'b' };
  const plan = (source: object, now: number): MigrationPlan =>
    decideMigration(asked({ b: 0 }, { status: { ...status, source }, spec }), now);
  const stood = { ...placed, ...named };

  it('waits until the node’s agent has looked since', () => {
    const early = plan(stood, NOW + 29_000);
    expect([effects(early), ready(early)]).toEqual([[], 'Unknown NotEnoughMemory']);
    expect(early.requeueAfterMs).toBeLessThanOrEqual(3000);
    expect(textOf(early)).toMatch(/has 0 bytes .* as the pod may have been there/);
    expect(plan(stood, NOW + 30_000).effects).toMatchObject([{ reason: 'NotEnoughMemory' }]);
  });

  it('of another pod is not waited for', () => {
    const { standsInFor: _, ...own } = placed;
    expect(plan(own, NOW).effects).toMatchObject([{ reason: 'NotEnoughMemory' }]);
  });
});

describe('a target’s agent that has too little memory at the last look', () => {
  const message = 'Node b has 1 GiB (1073741824 bytes) of memory available.';
  const refused = (refuses: string, more: Record<string, unknown> = {}): Observed =>
    asked(
      { b: enough, c: enough },
      {
        status: {
          target: { podName: 'p-reque', nodeName: 'b', podUID: 'target-uid', memory: needs },
          targetAgent: { state: 'Preparing', reason: 'NotEnoughMemory', message, refuses },
          ...more,
        },
        targetPod: target('request-uid'),
      },
    );

  const cancelled = (request: Observed['request']): Observed['request'] => ({
    ...request,
    spec: { ...request.spec, cancel: true },
  });

  it('lets the operator try another node, before anything was locked', () => {
    const plan = decideMigration(refused('target-uid'), NOW);
    expect(plan.effects).toEqual([{ type: 'DeleteTarget', uid: 'target-uid', force: false }]);
    expect(plan.status?.triedNodes).toMatchObject([{ nodeName: 'b', reason: 'NotEnoughMemory' }]);
    expect(plan.status?.deadlines?.blackout).toBeUndefined();
  });

  it('is treated likewise where its node has no room on the disk', () => {
    const seen = refused('target-uid');
    const status = {
      ...seen.request.status,
      targetAgent: {
        ...{ state: 'Preparing', reason: 'DiskFull', message: 'The disk of node b is full.' },
        refuses: 'target-uid',
      },
    } as Observed['request']['status'];
    const full = { ...seen, request: { ...seen.request, status } };
    const plan = decideMigration(full, NOW);
    expect(plan.effects).toEqual([{ type: 'DeleteTarget', uid: 'target-uid', force: false }]);
    expect(plan.status?.triedNodes).toMatchObject([{ nodeName: 'b', reason: 'DiskFull' }]);
    const alone = decideMigration({ ...full, nodes: nodes.slice(0, 2) }, NOW);
    expect([alone.effects, ready(alone)]).toEqual([[], 'Unknown DiskFull']);
    expect(textOf(alone)).toBe('The disk of node b is full. The request waits for room there.');
  });

  describe('where there is no other', () => {
    const alone = { ...refused('target-uid'), nodes: nodes.slice(0, 2) };
    const named = asked(
      { b: enough, c: enough },
      {
        spec: { targetNodeName: 'b' },
        status: { ...alone.request.status },
        targetPod: target('request-uid'),
      },
    );

    it.each([
      ['of two nodes', alone],
      ['of a node that the user names', named],
    ])('is waited for, %s: what it lacks may be there a moment later', (_name, seen) => {
      const plan = decideMigration(seen, NOW);
      expect([plan.effects, ready(plan)]).toEqual([[], 'Unknown NotEnoughMemory']);
      expect(textOf(plan)).toBe(`${message} The request waits for memory there.`);
      expect([plan.status?.phase, plan.status?.deadlines?.blackout]).toEqual([
        ...['Preparing', undefined],
      ]);
      expect(plan.requeueAfterMs).toBe(15_000);
      expect(decideMigration(seen, NOW + 299_000).requeueAfterMs).toBe(1001);
    });

    it('ends the request at its prepare deadline', () => {
      const plan = decideMigration(alone, NOW + 300_001);
      expect(plan.effects).toEqual([{ type: 'ProposeAbort', reason: 'NotEnoughMemory', message }]);
    });

    it('goes on once the memory is there', () => {
      const waiting = published(alone, decideMigration(alone, NOW));
      const targetAgent = { state: 'AtCreateGate' } as const;
      const status = { ...waiting.request.status, targetAgent };
      const next = { ...waiting, request: { ...waiting.request, status } };
      const plan = decideMigration(next, NOW + 1000);
      expect([plan.effects, ready(plan)]).toEqual([[], 'True AtCreateGate']);
      expect(plan.status?.deadlines?.blackout).toBeDefined();
    });

    it.each<[string, string, Partial<Observed>]>([
      ['is cancelled', 'Cancelled', { request: cancelled(alone.request) }],
      ['loses its source', 'SourceGone', { sourcePod: undefined }],
      [
        'has a target that has failed',
        'TargetFailed',
        { targetPod: target('request-uid', { status: { phase: 'Failed' } }) },
      ],
      ['has a target that is gone', 'TargetGone', { targetPod: undefined }],
    ])('does not keep a request that %s', (_name, reason, parts) => {
      expect(decideMigration({ ...alone, ...parts }, NOW).effects).toMatchObject([
        { type: 'ProposeAbort', reason },
      ]);
    });
  });

  it('has said so of another pod, or too late', () => {
    expect(decideMigration(refused('target-before'), NOW).effects).toEqual([]);
    const deadlines = { prepare: at(300), blackout: at(60) };
    expect(decideMigration(refused('target-uid', { deadlines }), NOW).effects).toEqual([]);
  });
});

describe('a dry run', () => {
  const plan = (has: Has, spec: object = {}): MigrationPlan => {
    const request = migration({
      spec: { dryRun: true, ...spec },
      status: {
        source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid' },
        inspection: { targetNodeName: 'b', keepsAddresses: false, findings: [] },
        sourceAgent: { state: 'Inspected', memory: needs, inspection: { findings: [] } },
      },
    });
    return decideMigration(see({ nodes, request, memory: memoryOf(has) }), NOW);
  };

  it('names a node that has the memory', () => {
    const { status } = plan({ b: 0, c: 0, d: enough });
    expect(status?.inspection).toMatchObject({ targetNodeName: 'd', findings: [] });
  });

  it('says that none has it, and how much there is', () => {
    const { status } = plan({ b: GIB, c: GIB, d: GIB });
    expect(status?.inspection?.targetNodeName).toBeUndefined();
    expect(status?.inspection?.findings).toEqual([
      {
        reason: 'NotEnoughMemory',
        message: expect.stringMatching(/node b has 1 GiB .* need 4\.3 GiB/) as string,
      },
    ]);
  });

  it('says it of the node that the user names', () => {
    const { status } = plan({ b: GIB, c: enough }, { targetNodeName: 'b' });
    expect(status?.inspection?.findings[0]?.message).toMatch(/^Node b has 1 GiB/);
  });
});
