// SPDX-License-Identifier: Apache-2.0
// The specification of what happens when a node cannot take the target, as tables.
import { describe, expect, it } from 'vitest';
import { effects, published, see } from '../../testing/migration.ts';
import {
  accepted,
  at,
  conditionsOf,
  node,
  NOW,
  restore,
  stored,
  target,
} from '../../testing/objects.ts';
import { defaultLimits } from '../moves/limits.ts';
import { decideMigration } from '../migration/decide.ts';
import type { Observed } from '../migration/types.ts';
import { decideRestore } from '../restore/decide.ts';

const full = {
  type: 'PodScheduled',
  status: 'False',
  reason: 'Unschedulable',
  message: '0/3 nodes are available.',
  lastTransitionTime: at(-60),
};
const noRoom = target('request-uid', { spec: { nodeName: '' }, status: { conditions: [full] } });
const refused = target('request-uid', {
  status: { phase: 'Failed', reason: 'OutOfcpu', message: 'no cpu', containerStatuses: [] },
});
const refusedOn = (nodeName: string): typeof refused => ({
  ...refused,
  spec: { ...refused.spec, nodeName },
});
const nodes = [node('a'), node('b'), node('c')];
const first = see({ nodes, targetPod: noRoom, unschedulableMs: 60_000, request: accepted() });
const abortReason = (observed: Observed): unknown =>
  decideMigration(observed, NOW).effects.map((one) => ('reason' in one ? one.reason : one.type));

/** The request after its first node was given up. */
function givenUp(more: Partial<Observed> = {}): Observed {
  return { ...published(first, decideMigration(first, NOW)), ...more };
}

describe('a node that cannot take the target', () => {
  it.each([
    ['has no room', noRoom, 'TargetUnschedulable'],
    ['has a kubelet that refuses the pod', refused, 'TargetFailed'],
  ])('is given up: it %s', (_name, targetPod, reason) => {
    const plan = decideMigration({ ...first, targetPod }, NOW);
    expect(plan.effects).toEqual([{ type: 'DeleteTarget', uid: 'target-uid', force: false }]);
    expect(plan.status).toMatchObject({
      phase: 'Preparing',
      target: { nodeName: 'b', podUID: 'target-uid' },
      triedNodes: [{ nodeName: 'b', podUID: 'target-uid', reason }],
    });
    expect(conditionsOf(plan.status?.conditions)['TargetReady']).toBe(`Unknown ${reason}`);
  });

  it('is replaced by another one once its pod is gone, and not before', () => {
    expect(effects(decideMigration(givenUp(), NOW))).toEqual(['DeleteTarget']);
    const dying = target('request-uid', { metadata: { deletionTimestamp: at(0) } });
    expect(decideMigration(givenUp({ targetPod: dying }), NOW).effects).toEqual([]);
    const gone = givenUp({ targetPod: undefined });
    const plan = decideMigration(gone, NOW);
    expect(plan).toMatchObject({ effects: [], requeueAfterMs: 0 });
    expect(plan.status?.target).toEqual({
      ...{ nodeName: 'c', podName: 'p-reque', agentAddress: 'c:7461' },
    });
    expect(plan.status?.deadlines?.prepare, 'a deadline of its own').toBe(at(300));
    const next = published(gone, plan);
    expect(decideMigration(next, NOW).effects).toEqual([
      { type: 'CreateTarget', nodeNames: ['c'], podName: 'p-reque' },
    ]);
    const again = target('request-uid', { metadata: { uid: 'second-uid' } });
    const seen = decideMigration({ ...next, targetPod: again }, NOW);
    expect(seen.status?.target?.podUID).toBe('second-uid');
    expect(seen.effects).toEqual([]);
  });

  it('is one of all: the last one aborts, and says which were tried', () => {
    const gone = givenUp({ targetPod: undefined });
    const next = published(gone, decideMigration(gone, NOW));
    const metadata = { uid: 'second-uid' };
    const status = { conditions: [full] };
    const second = target('request-uid', { metadata, spec: { nodeName: '' }, status });
    const known = published(
      next,
      decideMigration({ ...next, targetPod: target('request-uid', { metadata }) }, NOW),
    );
    const plan = decideMigration({ ...known, targetPod: second }, NOW);
    expect(plan.effects).toMatchObject([{ type: 'ProposeAbort', reason: 'TargetUnschedulable' }]);
    expect(JSON.stringify(plan.effects)).toContain('Tried before: b (TargetUnschedulable).');
  });

  describe('where the scheduler chooses', () => {
    const all = [...nodes, node('d'), node('e')];
    const open = { candidates: ['b', 'c'], podName: 'p-reque' };
    const request = accepted({ target: open });
    const seen = see({ nodes: all, request, targetPod: undefined });

    it('the pod is created for all of them, and its node is read from the pod', () => {
      expect(decideMigration(seen, NOW).effects).toEqual([
        { type: 'CreateTarget', nodeNames: ['b', 'c'], podName: 'p-reque' },
      ]);
      const unplaced = target('request-uid', { spec: { nodeName: '' } });
      const waiting = decideMigration({ ...seen, targetPod: unplaced }, NOW);
      expect(waiting.status?.target).toEqual({ ...open, podUID: 'target-uid' });
      expect(waiting.effects).toEqual([]);
      const placed = target('request-uid', { spec: { nodeName: 'c' } });
      const plan = decideMigration({ ...seen, targetPod: placed }, NOW);
      expect(plan.status?.target).toEqual({
        ...{ podName: 'p-reque', podUID: 'target-uid', nodeName: 'c', agentAddress: 'c:7461' },
        candidates: undefined,
      });
    });

    it('no room on any is said of each, and the next ones are tried', () => {
      const observed = { ...seen, targetPod: noRoom, unschedulableMs: 60_000 };
      const plan = decideMigration(observed, NOW);
      expect(effects(plan)).toEqual(['DeleteTarget']);
      const { triedNodes = [] } = plan.status ?? {};
      expect(triedNodes.map((one) => one.nodeName)).toEqual(['b', 'c']);
      expect(triedNodes.map((one) => one.message !== '')).toEqual([true, false]);
      const later = NOW + 280_000;
      const next = decideMigration({ ...published(observed, plan), targetPod: undefined }, later);
      expect(next.status?.target).toEqual({ candidates: ['e', 'd'], podName: 'p-reque' });
      expect(next.status?.deadlines?.prepare).toBe(at(580));
    });

    it('one whose kubelet refuses the pod is tried alone', () => {
      const observed = { ...seen, targetPod: refusedOn('c') };
      const plan = decideMigration(observed, NOW);
      expect(plan.status?.triedNodes?.map((one) => one.nodeName)).toEqual(['c']);
      const next = decideMigration({ ...published(observed, plan), targetPod: undefined }, NOW);
      expect(next.status?.target?.candidates).toEqual(['b', 'e', 'd']);
    });

    it('an abort names the node that was chosen, so that its agent takes part in it', () => {
      const decision = { outcome: 'Aborted', by: 'operator', reason: 'x', time: at(0) };
      const placed = target('request-uid', { spec: { nodeName: 'c' } });
      const aborted = { ...seen, request: accepted({ target: open, decision }), targetPod: placed };
      expect(decideMigration(aborted, NOW).status?.target).toMatchObject({ nodeName: 'c' });
    });
  });

  describe('is not looked for without end', () => {
    const many = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].map((name) => node(name));
    type Plan = ReturnType<typeof decideMigration>;

    /** Each pod ends in the same way, after so many seconds. @returns the last plan, when, and how many pods were deleted */
    function tryAll(pod: typeof refused, seconds: number): [Plan, number, number] {
      let observed = see({ nodes: many, unschedulableMs: 60_000, request: accepted() });
      let now = NOW;
      for (let tries = 0; ; tries++) {
        const uid = observed.request.status?.target?.podUID ?? `uid-${tries}`;
        const { nodeName, candidates = [] } = observed.request.status?.target ?? {};
        const on = pod === noRoom ? '' : (nodeName ?? candidates[0] ?? '');
        const named = target('request-uid', { metadata: { uid }, spec: { nodeName: on } });
        observed = published(observed, decideMigration({ ...observed, targetPod: named }, now));
        now += seconds * 1000;
        const spec = { ...pod.spec, nodeName: on };
        const targetPod = { ...pod, spec, metadata: { ...pod.metadata, uid } };
        const plan = decideMigration({ ...observed, targetPod }, now);
        if (effects(plan)[0] !== 'DeleteTarget') return [plan, (now - NOW) / 1000, tries];
        observed = { ...published(observed, plan), targetPod: undefined };
        const next = decideMigration(observed, now);
        if (next.effects.length > 0) return [next, (now - NOW) / 1000, tries + 1];
        observed = published(observed, next);
      }
    }

    it('five kubelets that refuse the pod are enough', () => {
      const [plan, , deleted] = tryAll(refused, 1);
      expect(plan.effects).toMatchObject([{ type: 'ProposeAbort', reason: 'TargetFailed' }]);
      expect(JSON.stringify(plan.effects)).toContain('no cpu');
      expect(deleted).toBe(4);
    });

    it('nodes without room are all tried', () => {
      const [plan, , deleted] = tryAll(noRoom, 15);
      expect(plan.effects).toMatchObject([{ type: 'ProposeAbort', reason: 'TargetUnschedulable' }]);
      expect(deleted, 'one, and then all that are left').toBe(1);
    });

    it('but not for longer than three prepare deadlines', () => {
      const [plan, seconds, deleted] = tryAll(refused, 290);
      expect(plan.effects).toMatchObject([{ type: 'ProposeAbort' }]);
      // Each pod has its own deadline until there is less time than that.
      expect([seconds, deleted]).toEqual([1160, 3]);
    });

    it('a deadline ends no later than that', () => {
      const deadlines = { prepare: at(700), retry: at(900) };
      const request = accepted({ ...givenUp().request.status, deadlines });
      const gone = givenUp({ targetPod: undefined });
      const late = decideMigration({ ...gone, request }, NOW + 650_000);
      expect(late.status?.deadlines).toEqual({ prepare: at(900), retry: at(900) });
    });
  });

  const status = (more: Record<string, unknown>): Partial<Observed> => ({
    request: accepted(more),
  });
  const busy = new Map([['c', defaultLimits.perNode]]);
  it.each<[string, Partial<Observed>]>([
    ['the user has named it', { request: accepted({}, { spec: { targetNodeName: 'b' } }) }],
    ['there is no other', { nodes: [node('a'), node('b')] }],
    [
      'the other one has another driver',
      { nodes: [node('a'), node('b'), node('c', { abi: 'x' })] },
    ],
    [
      'the other one takes no more for now',
      { moves: { ...first.moves, underWay: { total: 2, out: new Map(), into: busy } } },
    ],
    ['the source may be held', status({ deadlines: { prepare: at(300), blackout: at(100) } })],
    ['its agent has something of the target', status({ targetAgent: { state: 'AtCreateGate' } })],
    [
      'a container has failed there',
      { targetPod: target('request-uid', { status: { phase: 'Failed' } }) },
    ],
  ])('is the last one if %s', (_name, parts) => {
    expect(effects(decideMigration({ ...first, ...parts }, NOW))).toEqual(['ProposeAbort']);
  });

  it.each<[string, string, Partial<Observed>]>([
    ['is cancelled', 'Cancelled', { request: accepted({}, { spec: { cancel: true } }) }],
    ['loses its source', 'SourceGone', { sourcePod: undefined }],
    ['runs out of time', 'PrepareDeadlineExceeded', {}],
  ])('does not keep a request that %s', (_name, reason, parts) => {
    const { triedNodes } = givenUp().request.status ?? {};
    const base = { ...givenUp({ targetPod: undefined }), ...parts };
    const request = { ...base.request, status: { ...base.request.status, triedNodes } };
    const late = reason === 'PrepareDeadlineExceeded' ? 300_001 : 0;
    const plan = decideMigration({ ...base, request }, NOW + late);
    expect(plan.effects).toMatchObject([{ type: 'ProposeAbort', reason }]);
  });

  it('ends the request with its own reason if the others are gone meanwhile', () => {
    const alone = givenUp({ targetPod: undefined, nodes: [node('a'), node('b')] });
    expect(abortReason(alone)).toEqual(['TargetUnschedulable']);
  });

  describe('while other moves may get the nodes that are left', () => {
    const undecided = new Map([['c', defaultLimits.perNode]]);
    const held = { total: 3, out: new Map(), into: new Map(), undecided };
    const moves = { ...first.moves, underWay: held };

    it('is given up, and the request waits for them', () => {
      expect(effects(decideMigration({ ...first, moves }, NOW))).toEqual(['DeleteTarget']);
      const gone = givenUp({ targetPod: undefined, moves });
      const waits = decideMigration(gone, NOW);
      expect(waits).toMatchObject({ effects: [], requeueAfterMs: 1000 });
      expect(waits.status?.target?.podUID, 'the same still').toBe('target-uid');
      const next = decideMigration({ ...published(gone, waits), moves: first.moves }, NOW);
      expect(next.status?.target?.nodeName).toBe('c');
    });

    it('is waited for until the deadline', () => {
      const late = decideMigration(givenUp({ targetPod: undefined, moves }), NOW + 300_001);
      expect(late.effects).toMatchObject([
        { type: 'ProposeAbort', reason: 'PrepareDeadlineExceeded' },
      ]);
    });
  });

  it('is given up by a restore too, which may go back to the node of the images', () => {
    const request = restore({
      status: {
        ...{ startTime: at(0), checkpointId: 'saved-uid' },
        source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid' },
        target: { nodeName: 'b', podName: 'p-reque', podUID: 'target-uid' },
        deadlines: { prepare: at(300) },
      },
    });
    const observed = {
      ...{ request, checkpoint: stored(), targetPod: noRoom, podName: 'p-reque', load: new Map() },
      ...{ nodes: [node('a'), node('b')], identity: { keepsDevice: true } },
      unschedulableMs: 60_000,
      finished: undefined,
    };
    const plan = decideRestore(observed, NOW);
    expect(plan.effects).toEqual([{ type: 'DeleteTarget', uid: 'target-uid', force: false }]);
    const later = { ...request, status: { ...request.status, ...plan.status } };
    const next = decideRestore({ ...observed, request: later, targetPod: undefined }, NOW);
    expect(next.status?.target?.nodeName).toBe('a');
    expect(next.effects).toEqual([]);
  });
});
