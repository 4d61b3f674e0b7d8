// SPDX-License-Identifier: Apache-2.0
// The two moves of a pod that its controller finds by its name, as tables (docs/adr/0025).
import { describe, expect, it } from 'vitest';
import { annotations, podConditions, type MigrationRequest } from '../../../crds/src/index.ts';
import {
  controller,
  landed,
  landing,
  nobody,
  nodes,
  ready,
  set,
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
import { decideMigration } from './decide.ts';
import { firstMoveOf, placeOf, secondName } from './landing.ts';
import { returnOf } from './name-steps.ts';
import type { Observed } from './types.ts';

const owned = [{ ...set, controller: true }];

const member = pod({ metadata: { ownerReferences: owned } });

describe('a landing pod', () => {
  const second = (parts: object = {}): MigrationRequest =>
    migration({
      metadata: { name: 'second', uid: 'second-uid' },
      spec: { podName: 'p-reque', targetNodeName: 'c' },
      status: { source: { nodeName: 'b' }, ...parts },
    });
  const record = { requestName: 'second', attempt: 1, nodeName: 'c' };
  const aborted = {
    decision: decision('Aborted'),
    conditions: [{ ...succeeded('False', 'TargetUnschedulable'), message: 'No room.' }],
    completionTime: at(0),
  };
  const moved = {
    decision: decision('Committed'),
    conditions: [{ ...succeeded('True', 'Moved'), message: 'Pod p runs on c.' }],
    completionTime: at(0),
  };
  const restarted = {
    ...ready,
    containerStatuses: [
      container(
        { running: {} },
        { ready: true, lastState: { terminated: { exitCode: 1, finishedAt: at(20) } } },
      ),
    ],
  };
  const made = pod({
    metadata: { uid: 'new', annotations: { [annotations.requestUid]: 'second-uid' } },
    spec: { nodeName: 'c' },
    status: { conditions: [{ type: podConditions.committed, status: 'True' }] },
  });
  const look = (parts: Partial<Observed>, more: object = {}): Observed =>
    see({
      request: accepted({ ...landed, ...more }),
      sourcePod: undefined,
      targetPod: landing(),
      nodes,
      nameTrial: 'reserved',
      ...parts,
    });

  it.each<[string, Partial<Observed>, object, string[]]>([
    [
      'keeps the source’s object, and with it the name, until it runs',
      { sourcePod: member },
      { targetAgent: { state: 'Answering' } },
      [],
    ],
    ['frees the name once it runs', { sourcePod: member }, {}, ['DeleteSource']],
    ['does not free a name that is not reserved', { sourcePod: member, nameTrial: 'x' }, {}, []],
    ['does not free one that was not tried', { sourcePod: member, nameTrial: undefined }, {}, []],
    [
      'waits for the finalizers of others on the source',
      { sourcePod: pod({ metadata: { deletionTimestamp: at(1), finalizers: ['x/y'] } }) },
      {},
      [],
    ],
    ['moves on', {}, {}, ['CreateSecondMove']],
    ['moves on once it is ready', { targetPod: landing({ phase: 'Running' }) }, {}, []],
    ['makes a request that is recorded', {}, { secondMove: record }, ['CreateSecondMove']],
    ['waits for its request', { secondMove: second() }, { secondMove: record }, []],
    [
      'waits for the target of a request that was committed',
      { secondMove: second({ decision: decision('Committed') }), targetPod: undefined },
      { secondMove: record },
      [],
    ],
    [
      'is not deleted for containers that the second move has stopped',
      {
        secondMove: second({ decision: decision('Committed') }),
        targetPod: landing(restarted),
      },
      { secondMove: record },
      [],
    ],
    ['leaves a pod alone that others have made', { sourcePod: made }, {}, []],
    [
      'is deleted when it has begun from nothing',
      { targetPod: landing(restarted), secondMove: second() },
      { secondMove: record },
      ['DeleteLanding'],
    ],
    [
      'is deleted with its set, also while it moves on',
      { controller: 'deleted', secondMove: second() },
      { secondMove: record },
      ['DeleteLanding'],
    ],
    [
      'is left to its second move when that is committed, whatever becomes of the set',
      { controller: 'deleted', secondMove: second({ decision: decision('Committed') }) },
      { secondMove: record },
      [],
    ],
    [
      'moves on when its set has left its pods behind',
      { controller: 'orphaning', secondMove: second() },
      { secondMove: record },
      [],
    ],
    [
      'is deleted when its agent cannot resume it, and the source’s object with it',
      { sourcePod: member },
      { targetAgent: { state: 'Failed' } },
      ['DeleteSource', 'DeleteLanding'],
    ],
    ['is deleted once', { targetPod: landing(ready, { deletionTimestamp: at(1) }) }, {}, []],
    [
      'keeps the name while its second move may yet be committed',
      { targetPod: undefined, secondMove: second() },
      { secondMove: record },
      [],
    ],
  ])('%s', (_name, parts, more, expected) => {
    const plan = decideMigration(look(parts, more), NOW);
    expect(effects(plan)).toEqual(expected);
    expect(summary(plan)).toMatch(/^Unknown/);
    expect(plan.status?.completionTime).toBeUndefined();
  });

  it('is not deleted once its set was seen to leave its pods behind, whatever becomes of the revision', () => {
    const first = look({ controller: 'orphaning' });
    const plan = decideMigration(first, NOW);
    expect(plan.status?.source?.controller?.leftBehind).toBe(true);
    for (const state of ['deleted', 'gone', 'orphaning'] as const) {
      const next = decideMigration({ ...published(first, plan), controller: state }, NOW);
      expect(effects(next), state).toEqual(['CreateSecondMove']);
      expect(next.status?.source?.controller?.leftBehind, state).toBe(true);
    }
    const lost = {
      ...published(first, plan),
      targetPod: undefined,
      controller: 'deleted',
    } as const;
    expect(summary(decideMigration(lost, NOW)), 'nobody makes it anew').toBe(
      'False ControllerDeleted',
    );
    const kept = decideMigration(look({ controller: 'active' }), NOW);
    expect(kept.status?.source?.controller?.leftBehind).toBeUndefined();
  });

  it('records where it moves on to before it makes the request, and prefers a further node', () => {
    const plan = decideMigration(look({}), NOW);
    const requestName = secondName(look({}).request, 1);
    const next = { requestName, attempt: 1, nodeName: 'c' };
    expect(plan.status?.secondMove).toEqual(next);
    expect(plan.effects).toEqual([{ type: 'CreateSecondMove', ...next }]);
    const two = decideMigration(look({ nodes: nodes.slice(0, 2) }), NOW);
    expect(two.status?.secondMove?.nodeName, 'there is no other by now').toBe('b');
  });

  it('prefers a node that no other move may get', () => {
    const four = [...nodes, node('d')];
    const end = (into: object, undecided: object): unknown => {
      const [arriving, held] = [into, undecided].map((one) => new Map(Object.entries(one)));
      const underWay = { total: 2, out: new Map(), into: arriving ?? new Map(), undecided: held };
      const moves = { ...look({}).moves, underWay };
      return decideMigration(look({ nodes: four, moves }), NOW).status?.secondMove?.nodeName;
    };
    expect([end({}, { c: 2 }), end({}, { d: 2 })]).toEqual(['d', 'c']);
    expect([end({ c: 2 }, { d: 2 }), end({ d: 2 }, { c: 2 })], 'rather than full').toEqual([
      'd',
      'c',
    ]);
  });

  it('tries again after a while, ever more slowly, and under another name', () => {
    const failedOnce = look({ secondMove: second(aborted) }, { secondMove: record });
    const early = decideMigration(failedOnce, NOW + 9_999);
    expect(early.effects).toEqual([]);
    expect(message(early)).toMatch(/^No room\. p-reque runs on/);
    const plan = decideMigration(failedOnce, NOW + 10_000);
    const requestName = secondName(failedOnce.request, 2);
    expect(plan.effects).toMatchObject([{ type: 'CreateSecondMove', attempt: 2, requestName }]);
    const often = look({ secondMove: second(aborted) }, { secondMove: { ...record, attempt: 40 } });
    expect(effects(decideMigration(often, NOW + 299_999))).toEqual([]);
    expect(effects(decideMigration(often, NOW + 300_000))).toEqual(['CreateSecondMove']);
  });

  it('chooses anew, and in its turn, if the request of an attempt was removed while it waits', () => {
    const more = { secondMove: record, conditions: [succeeded('Unknown', 'NoNodeForName')] };
    const full = { total: 5, out: new Map(), into: new Map() };
    const seen = look({}, more);
    const plan = decideMigration({ ...seen, moves: { ...seen.moves, underWay: full } }, NOW);
    expect(effects(plan)).not.toContain('CreateSecondMove');
    expect(summary(plan)).toBe('Unknown NoNodeForName');
    const unready = decideMigration(look({ targetPod: landing({ phase: 'Running' }) }, more), NOW);
    expect(summary(unready), 'nor does it take a place otherwise').toBe('Unknown NoNodeForName');
    const cordoned = [node('a'), node('b'), node('c', { cordoned: true }), node('d')];
    const next = decideMigration({ ...seen, nodes: cordoned }, NOW);
    expect(next.effects).toMatchObject([{ type: 'CreateSecondMove', attempt: 2, nodeName: 'd' }]);
    const { request, targetPod } = seen;
    expect(returnOf(request, targetPod, next.status?.secondMove)).toMatchObject({ to: 'd' });
  });

  it.each<[string, Partial<Observed>, object, string, RegExp]>([
    [
      'has moved on',
      { targetPod: undefined, sourcePod: made, secondMove: second(moved) },
      { secondMove: record },
      'True Moved',
      /^Pod p runs on c\.$/,
    ],
    [
      'has moved on, and somebody has deleted the request',
      { targetPod: undefined, sourcePod: made },
      { secondMove: record },
      'True Moved',
      /^Pod p runs on c\.$/,
    ],
    [
      'has moved on by a request of somebody else',
      { targetPod: undefined, sourcePod: made, secondMove: second(aborted) },
      { secondMove: record },
      'True Moved',
      /^Pod p runs on c\.$/,
    ],
    [
      'was lost',
      { targetPod: undefined },
      {},
      'False TargetLost',
      /p-reque, which stood in for pod p, is lost.* StatefulSet p makes pod p from nothing\./,
    ],
    [
      'was lost after an attempt',
      { targetPod: undefined, secondMove: second(aborted) },
      { secondMove: record },
      'False TargetLost',
      /from nothing/,
    ],
  ])('ends the request once it %s', (_name, parts, more, expected, text) => {
    const plan = decideMigration(look(parts, more), NOW);
    expect(summary(plan)).toBe(expected);
    expect(message(plan)).toMatch(text);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
  });

  it('belongs to the request that a request of its namespace names', () => {
    const by = (key: string): string | undefined =>
      firstMoveOf(migration({ metadata: { annotations: { [annotations.migration]: key } } }));
    expect(by('default/move')).toBe('default/move');
    for (const key of ['', 'move', 'other/move', '/move']) expect(by(key)).toBeUndefined();
    expect(firstMoveOf(undefined)).toBeUndefined();
  });

  it('does not look every millisecond when the confirmation is overdue', () => {
    const plan = decideMigration(look({ secondMove: second() }, { secondMove: record }), NOW + 1e9);
    expect(plan.requeueAfterMs).toBeGreaterThanOrEqual(1000);
    // Nothing tells it that the set was deleted.
    expect(plan.requeueAfterMs).toBeLessThanOrEqual(5000);
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
  const own = (annotationsOf: object = annotated): MigrationRequest =>
    migration({
      metadata: { name: 'second', uid: 'second-uid', annotations: annotationsOf },
      spec: { podName: 'p-reque', targetNodeName: 'c' },
    });
  const ask = (parts: Partial<Observed> = {}): Observed =>
    see({ request: own(), sourcePod: landing(), firstMove: first, nodes, ...parts });

  it('makes a pod of the name that the landing pod stands in for, without a queue', () => {
    const moves = { ...see().moves, limits: { cluster: 0, perNode: 0 } };
    const plan = decideMigration(ask({ moves }), NOW);
    expect(plan.status?.source).toMatchObject({ standsInFor: 'p', controller, podName: 'p-reque' });
    expect(plan.effects).toEqual([{ type: 'CreateTarget', nodeNames: ['c'], podName: 'p' }]);
  });

  it.each<[string, Partial<Observed>]>([
    ['another request', { request: own({}) }],
    ['a request of another move', { request: own({ [annotations.requestUid]: 'x' }) }],
    ['a pod that another move has made', { sourcePod: target('x', { status: ready }) }],
    [
      'a landing pod that does not run',
      { firstMove: accepted({ source, decision: decision('Committed') }) },
    ],
    [
      'a landing pod of a move that is not decided',
      { firstMove: accepted({ source, targetAgent: { state: 'Running' } }) },
    ],
    [
      'a target of a move of another kind',
      { firstMove: accepted({ ...first.status, source: { nodeName: 'a' } }) },
    ],
  ])('is refused of %s', (_name, parts) => {
    const seen = ask(parts);
    expect(placeOf(seen.request, seen.firstMove, seen.sourcePod)).toBeUndefined();
    expect(summary(decideMigration(seen, NOW))).toBe('False AnotherMigration');
  });

  const placed = { ...source, nodeName: 'b', podName: 'p-reque', podUID: 'target-uid' };
  const joining = {
    source: { ...placed, standsInFor: 'p' },
    target: { nodeName: 'c', podName: 'p' },
  };
  const named = (ownerReferences: object[]): Observed['targetPod'] =>
    target('second-uid', { metadata: { name: 'p', uid: 'new', labels: {}, ownerReferences } });
  const decided = (parts: Partial<Observed>, more: object = {}): string[] => {
    const request = migration({
      metadata: { name: 'second', uid: 'second-uid' },
      spec: { podName: 'p-reque' },
      status: { ...joining, decision: decision('Committed'), ...more },
    });
    const seen = see({ request, sourcePod: landing(), targetPod: named(nobody), nodes, ...parts });
    return effects(decideMigration(seen, NOW));
  };

  it.each<[string, Partial<Observed>, object, string[]]>([
    ['gives its target to the set at once', {}, {}, ['AttachTarget']],
    [
      'deletes the landing pod once it is silent',
      { targetPod: named(owned) },
      { sourceAgent: { state: 'Gone' } },
      ['DeleteSource'],
    ],
    ['leaves it alone before', { targetPod: named(owned) }, {}, []],
    ['waits until it is known what a set that is gone has done', { controller: 'gone' }, {}, []],
    [
      'goes with a set that was deleted with its pods',
      { controller: 'deleted' },
      {},
      ['AttachTarget'],
    ],
    ['nor to one that leaves its pods behind', { controller: 'orphaning' }, {}, []],
  ])('%s', (_name, parts, more, expected) => {
    expect(decided(parts, more)).toEqual(expected);
  });

  const left = { ...controller, leftBehind: true };
  it('knows from the first move that the set has left its pods behind', () => {
    const firstMove = accepted({ ...first.status, source: { ...source, controller: left } });
    const plan = decideMigration(ask({ firstMove }), NOW);
    expect(plan.status?.source?.controller?.leftBehind).toBe(true);
    expect(decided({ controller: 'deleted', firstMove }), 'learns it later').toEqual([]);
  });

  it('gives its target to nobody once the set was seen to leave its pods behind', () => {
    const request = migration({
      metadata: { name: 'second', uid: 'second-uid' },
      spec: { podName: 'p-reque' },
      status: { ...joining, decision: decision('Committed') },
    });
    const pods = { sourcePod: landing(), targetPod: named(nobody), nodes };
    const seen = see({ request, ...pods, controller: 'orphaning' });
    const plan = decideMigration(seen, NOW);
    expect(plan.status?.source?.controller?.leftBehind).toBe(true);
    for (const state of ['deleted', 'gone'] as const) {
      const next = decideMigration({ ...published(seen, plan), controller: state }, NOW);
      expect(effects(next), state).toEqual([]);
      expect(summary(next)).toBe('Unknown Committed');
    }
  });

  it('starts from a landing pod that has waited, and belongs to nobody', () => {
    const request = migration({
      metadata: { name: 'second', uid: 'second-uid' },
      spec: { podName: 'p-reque' },
      status: { ...joining, startTime: at(0), deadlines: { prepare: at(300) } },
    });
    const free = landing(ready, { ownerReferences: [] });
    const seen = see({ request, sourcePod: free, targetPod: named(nobody), nodes });
    expect(effects(decideMigration(seen, NOW))).toEqual([]);
  });

  it('is aborted when its landing pod gets another controller', () => {
    const request = migration({
      metadata: { name: 'second', uid: 'second-uid' },
      spec: { podName: 'p-reque' },
      status: { ...joining, startTime: at(0), deadlines: { prepare: at(300) } },
    });
    const seen = see({ request, sourcePod: landing(), targetPod: named(nobody), nodes });
    expect(effects(decideMigration(seen, NOW))).toEqual([]);
    const taken = landing(ready, { ownerReferences: [{ ...set, uid: 'x', controller: true }] });
    const plan = decideMigration({ ...seen, sourcePod: taken }, NOW);
    expect(plan.effects).toMatchObject([{ type: 'ProposeAbort', reason: 'ControllerChanged' }]);
  });
});
