// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { annotations, labels } from '../../../crds/src/index.ts';
import type { Pod } from '../../../kube/src/index.ts';
import { effects, message, see, summary } from '../../testing/migration.ts';
import {
  accepted,
  at,
  container,
  decision,
  migration,
  NOW,
  pod,
  target,
  type PodParts,
} from '../../testing/objects.ts';
import { handoverOf, isWorthMore, lowestCost } from '../target-pod/controllers.ts';
import { namespaceOwner } from '../target-pod/ownership.ts';
import { decideMigration } from './decide.ts';
import type { Observed } from './types.ts';

type Kind = 'ReplicaSet' | 'Job';
const versions = { ReplicaSet: 'apps/v1', Job: 'batch/v1' } as const;
const handovers = { ReplicaSet: 'AfterResume', Job: 'BeforeHold' } as const;
const ownerOf = (kind: string, apiVersion: string): object => ({
  ...{ apiVersion, kind, name: 'set', uid: 'set-uid', controller: true },
});
const set = (kind: Kind): object => ownerOf(kind, versions[kind]);
const nobody = namespaceOwner('default', 'namespace-uid');

const ready = { type: 'Ready', status: 'True' };
const notReady = { type: 'Ready', status: 'False' };
const cost = (value: number): Record<string, unknown> => ({
  annotations: { [annotations.deletionCost]: String(value) },
});

const source = (owner: object | undefined, parts: PodParts = {}): Pod =>
  pod({ ...parts, metadata: { ownerReferences: owner ? [owner] : [], ...parts.metadata } });
const retired = (kind: Kind, status: object = { conditions: [notReady] }): Pod =>
  source(set(kind), { metadata: cost(lowestCost), status: { ...status } });

const successor = (owner: object, status: object = {}): Pod =>
  target('request-uid', {
    metadata: { ownerReferences: [owner], labels: {} },
    status: { ...status },
  });
const runs = { phase: 'Running', conditions: [ready] };
const runsUnready = { phase: 'Running', conditions: [notReady] };

function request(kind: Kind, status: Record<string, unknown>): Observed['request'] {
  const { controller: _controller, ...reference } = set(kind) as { controller: boolean };
  const controller = { ...reference, handover: handovers[kind] };
  const source = { nodeName: 'a', podName: 'p', podUID: 'pod-uid', controller };
  return accepted({ source, ...status });
}

describe('a pod of a ReplicaSet', () => {
  const committed = (parts: Partial<Observed>, status: Record<string, unknown> = {}): string[] => {
    const states = { sourceAgent: { state: 'Gone' }, targetAgent: { state: 'Running' } };
    const decided = { decision: decision('Committed'), ...states, ...status };
    return effects(
      decideMigration(see({ request: request('ReplicaSet', decided), ...parts }), NOW),
    );
  };
  const own = set('ReplicaSet');

  it.each<[string, string[], Partial<Observed>, Record<string, unknown>?]>([
    [
      'waits until the source is silent',
      [],
      { sourcePod: source(own), targetPod: successor(nobody) },
      { sourceAgent: { state: 'Sent' }, targetAgent: { state: 'Answering' } },
    ],
    [
      'marks the source first',
      ['RetireSource'],
      { sourcePod: source(own, { status: { conditions: [ready] } }), targetPod: successor(nobody) },
    ],
    [
      'marks it again when the kubelet has taken the mark away',
      ['RetireSource'],
      { sourcePod: retired('ReplicaSet', { conditions: [ready] }), targetPod: successor(nobody) },
    ],
    [
      'waits while the target is not worth more',
      [],
      { sourcePod: retired('ReplicaSet'), targetPod: successor(nobody, runsUnready) },
    ],
    [
      'gives the target its place, and deletes the source at once',
      ['AttachTarget', 'DeleteSource'],
      { sourcePod: retired('ReplicaSet'), targetPod: successor(nobody, runs) },
    ],
    [
      'continues after a crash between the two',
      ['DeleteSource'],
      { sourcePod: retired('ReplicaSet'), targetPod: successor(own, runs) },
    ],
    [
      'takes the place of a source that its set has deleted',
      ['AttachTarget', 'DeleteSource'],
      {
        sourcePod: source(own, { metadata: { deletionTimestamp: at(1) } }),
        targetPod: successor(nobody, runsUnready),
      },
    ],
    [
      'takes the place of a source that is gone',
      ['AttachTarget'],
      { sourcePod: undefined, targetPod: successor(nobody, runs), controller: 'active' },
    ],
    [
      'belongs to nobody when the set is gone and has left the source',
      ['DeleteSource'],
      { sourcePod: source(undefined), targetPod: successor(nobody, runs), controller: 'gone' },
    ],
    [
      'belongs to nobody when the set is about to leave the source',
      ['DeleteSource'],
      {
        ...{ sourcePod: retired('ReplicaSet'), targetPod: successor(nobody, runs) },
        controller: 'orphaning',
      },
    ],
    [
      'is left alone when the set is gone, and so is the source, which could tell whether its pods go',
      [],
      { sourcePod: undefined, targetPod: successor(nobody, runs), controller: 'gone' },
    ],
    [
      'goes with a set that was seen to be deleted with its pods',
      ['AttachTarget'],
      { sourcePod: undefined, targetPod: successor(nobody, runs), controller: 'deleted' },
    ],
    [
      'goes with a set that is gone, whose deletion has reached the source',
      ['AttachTarget', 'DeleteSource'],
      {
        sourcePod: source(own, { metadata: { deletionTimestamp: at(1) } }),
        targetPod: successor(nobody, runs),
        controller: 'gone',
      },
    ],
    [
      'goes with a set that is being deleted, and its pods before it',
      ['AttachTarget', 'DeleteSource'],
      {
        sourcePod: source(own, { metadata: { deletionTimestamp: at(1) } }),
        targetPod: successor(nobody, runs),
        controller: 'deleted',
      },
    ],
    [
      'lets the set replace a target that is lost',
      ['DeleteSource', 'AttachTarget'],
      { sourcePod: retired('ReplicaSet'), targetPod: successor(nobody) },
      { targetAgent: { state: 'Failed' } },
    ],
    [
      'waits no longer than the confirmation deadline',
      ['DeleteSource', 'AttachTarget'],
      { sourcePod: retired('ReplicaSet'), targetPod: successor(nobody, runsUnready) },
      { deadlines: { prepare: at(300), blackout: at(400), confirmation: at(-1) } },
    ],
    [
      'is replaced by its set when the target was deleted',
      ['DeleteSource'],
      { sourcePod: source(own), targetPod: undefined },
    ],
  ])('%s', (_name, expected, parts, status) => {
    expect(committed(parts, status)).toEqual(expected);
  });

  it('does not end before the target has its place', () => {
    const states = { sourceAgent: { state: 'Gone' }, targetAgent: { state: 'Running' } };
    const decided = { decision: decision('Committed'), ...states, deadlines: { lastLook: at(0) } };
    const parts = { sourcePod: retired('ReplicaSet'), targetPod: successor(nobody, runsUnready) };
    const plan = decideMigration(see({ request: request('ReplicaSet', decided), ...parts }), NOW);
    expect(summary(plan)).toBe('Unknown Committed');
    expect(message(plan)).toContain('ReplicaSet set');
  });

  it('belongs to nobody for good once its set was seen to leave it behind', () => {
    const states = { sourceAgent: { state: 'Gone' }, targetAgent: { state: 'Running' } };
    const decided = { decision: decision('Committed'), ...states };
    const targetPod = successor(nobody, runs);
    const first = decideMigration(
      see({
        request: request('ReplicaSet', decided),
        ...{ sourcePod: source(undefined), targetPod, controller: 'gone' },
      }),
      NOW,
    );
    expect(first.status?.source?.controller?.leftBehind).toBe(true);
    const after = request('ReplicaSet', { ...decided, ...first.status });
    const gone = see({ request: after, sourcePod: undefined, targetPod, controller: 'gone' });
    expect(effects(decideMigration(gone, NOW))).toEqual([]);
  });

  it('ends with a message that names it when nobody can tell whether it goes with its set', () => {
    const states = { sourceAgent: { state: 'Gone' }, targetAgent: { state: 'Running' } };
    const decided = { decision: decision('Committed'), ...states, deadlines: { lastLook: at(0) } };
    const targetPod = successor(nobody, {
      ...{ ...runs, containerStatuses: [container({ running: {} }, { ready: true })] },
    });
    const end = (parts: Partial<Observed>): string => {
      const asked = { request: request('ReplicaSet', decided), sourcePod: undefined, targetPod };
      const plan = decideMigration(see({ ...asked, ...parts }), NOW);
      expect(summary(plan)).toBe('True Moved');
      return message(plan) ?? '';
    };
    expect(end({ controller: 'gone' })).toMatch(
      /ReplicaSet set was deleted after the decision.* Pod p-reque belongs to nobody.*delete pod p-reque/,
    );
    const attached = successor(own, targetPod.status);
    expect(end({ controller: 'gone', targetPod: attached })).not.toMatch(/deleted/);
    const leftBehind = request('ReplicaSet', decided);
    const { source: placed } = leftBehind.status ?? {};
    const known = { ...placed, controller: { ...placed?.controller, leftBehind: true } };
    const remembered = request('ReplicaSet', { ...decided, source: known });
    expect(end({ controller: 'gone', request: remembered })).not.toMatch(/deleted/);
  });

  it('ends with its set when both are gone, and says so', () => {
    const states = { sourceAgent: { state: 'Gone' }, targetAgent: { state: 'Running' } };
    const decided = { decision: decision('Committed'), ...states };
    const parts = { sourcePod: undefined, targetPod: undefined, controller: 'gone' } as const;
    const plan = decideMigration(see({ request: request('ReplicaSet', decided), ...parts }), NOW);
    expect(summary(plan)).toBe('False ControllerDeleted');
    expect(message(plan)).toContain('ReplicaSet set was deleted after the decision');
  });

  it('is not written to before the decision', () => {
    const states = { targetAgent: { state: 'AtCreateGate' } };
    const parts = { sourcePod: source(own), targetPod: target('request-uid') };
    const plan = decideMigration(see({ request: request('ReplicaSet', states), ...parts }), NOW);
    expect(effects(plan)).toEqual([]);
    expect(plan.status?.deadlines?.blackout).toBeDefined();
  });
});

describe('a pod of a Job', () => {
  const own = set('Job');
  const plan = (parts: Partial<Observed>, status: Record<string, unknown>) =>
    decideMigration(see({ request: request('Job', status), ...parts }), NOW);
  const prepared = { targetAgent: { state: 'AtCreateGate' } };
  const aborted = { decision: decision('Aborted', 'Cancelled'), sourceAgent: { state: 'Resumed' } };

  it.each<[string, string[], boolean, Partial<Observed>]>([
    [
      'gives its place to the target before it is held',
      ['AttachTarget', 'DetachSource'],
      false,
      { sourcePod: source(own), targetPod: successor(nobody) },
    ],
    [
      'continues after a crash between the two',
      ['DetachSource'],
      false,
      { sourcePod: source(own), targetPod: successor(own) },
    ],
    ['may be held then', [], true, { sourcePod: source(nobody), targetPod: successor(own) }],
  ])('%s', (_name, expected, isHeld, parts) => {
    const made = plan(parts, prepared);
    expect(effects(made)).toEqual(expected);
    expect(made.status?.deadlines?.blackout !== undefined).toBe(isHeld);
  });

  it.each<[string, string[], Partial<Observed>]>([
    [
      'takes its place back',
      ['AttachSource', 'DetachTarget'],
      { sourcePod: source(nobody), targetPod: successor(own), controller: 'active' },
    ],
    [
      'continues after a crash between the two',
      ['DetachTarget'],
      { sourcePod: source(own), targetPod: successor(own), controller: 'active' },
    ],
    [
      'loses the target then',
      ['DeleteTarget'],
      { sourcePod: source(own), targetPod: successor(nobody), controller: 'active' },
    ],
    [
      'takes its place back when the Job has deleted the target',
      ['AttachSource'],
      { sourcePod: source(nobody), targetPod: undefined, controller: 'active' },
    ],
    [
      'is counted by its target when it is gone',
      ['DeleteTarget'],
      { sourcePod: undefined, targetPod: successor(own), controller: 'active' },
    ],
    [
      'is counted by its target when a user deletes it',
      ['DeleteTarget'],
      {
        sourcePod: source(nobody, { metadata: { deletionTimestamp: at(1) } }),
        targetPod: successor(own),
        controller: 'active',
      },
    ],
    [
      'ends with a Job that has finished',
      ['EndSource'],
      { sourcePod: source(nobody), targetPod: undefined, controller: 'finished' },
    ],
    [
      'ends with a Job that has finished in the moment in which it came back',
      ['EndSource'],
      { sourcePod: source(own), targetPod: undefined, controller: 'finished' },
    ],
  ])('after an abort, %s', (_name, expected, parts) => {
    expect(effects(plan(parts, aborted))).toEqual(expected);
  });

  it.each<[string, object | undefined, string | undefined]>([
    ['its own Job', own, undefined],
    ['the owner that keeps others away', nobody, undefined],
    ['no controller', undefined, 'ControllerChanged'],
    ['another Job', { ...own, uid: 'other' }, 'ControllerChanged'],
  ])('is moved or not when the source has %s', (_name, owner, reason) => {
    const made = plan({ sourcePod: source(owner), targetPod: successor(own) }, prepared);
    expect(summary(made)?.split(' ')[1]).toBe(reason ?? 'Pending');
  });
});

describe('a controller', () => {
  it.each<[string, string, PodParts['metadata'], string]>([
    ['apps/v1', 'ReplicaSet', {}, 'AfterResume'],
    ['batch/v1', 'Job', {}, 'BeforeHold'],
    ['example.org/v1', 'ReplicaSet', {}, 'PodHasController'],
    ['example.org/v1', 'Worker', {}, 'PodHasController'],
    ['example.org/v1', 'Worker', { [annotations.handover]: 'BeforeHold' }, 'BeforeHold'],
    ['example.org/v1', 'Worker', { [annotations.handover]: 'AfterResume' }, 'AfterResume'],
    ['example.org/v1', 'Worker', { [annotations.handover]: 'now' }, 'BadAnnotation'],
    ['apps/v1', 'DaemonSet', { [annotations.handover]: 'AfterResume' }, 'PodHasController'],
    ['apps/v1', 'StatefulSet', { [annotations.handover]: 'AfterResume' }, 'ByName'],
    ['example.org/v1', 'Worker', { [annotations.handover]: 'ByName' }, 'BadAnnotation'],
    ['v1', 'Node', { [annotations.handover]: 'AfterResume' }, 'PodHasController'],
  ])('%s %s with %o', (apiVersion, kind, podAnnotations, expected) => {
    const made = handoverOf(
      pod({
        metadata: { annotations: podAnnotations, ownerReferences: [ownerOf(kind, apiVersion)] },
      }),
    );
    expect(made && 'handover' in made ? made.handover : made?.reason).toBe(expected);
  });

  it.each<[string, Record<string, string>, Record<string, string>, string]>([
    ['a label', { [labels.handover]: 'ByName' }, {}, 'ByName'],
    ['a label that says something else', { [labels.handover]: 'AfterResume' }, {}, 'BadAnnotation'],
    [
      'a label and an annotation that differ',
      { [labels.handover]: 'ByName' },
      { [annotations.handover]: 'BeforeHold' },
      'BadAnnotation',
    ],
    ['both alike', { [labels.handover]: 'ByName' }, { [annotations.handover]: 'ByName' }, 'ByName'],
  ])('of another kind is known by %s', (_what, podLabels, podAnnotations, expected) => {
    const ownerReferences = [ownerOf('Worker', 'example.org/v1')];
    const made = handoverOf(
      pod({ metadata: { labels: podLabels, annotations: podAnnotations, ownerReferences } }),
    );
    expect(made && 'handover' in made ? made.handover : made?.reason).toBe(expected);
  });

  it('replaces a lost pod itself', () => {
    const observed = see({
      request: migration({ spec: { onSourceLoss: 'RestoreNewestCheckpoint' } }),
      sourcePod: source(set('Job')),
    });
    expect(summary(decideMigration(observed, NOW))).toBe('False PodHasController');
  });
});

describe('a ReplicaSet that has source and target', () => {
  const ended = {
    conditions: [notReady],
    containerStatuses: [container({ terminated: {} }, { ready: false })],
  };
  it.each<[string, boolean, Pod, Pod]>([
    ['a ready target', true, successor(nobody, runs), retired('ReplicaSet')],
    [
      'a ready target, a source that is ready too',
      false,
      successor(nobody, runs),
      source(set('ReplicaSet'), { metadata: cost(lowestCost), status: { conditions: [ready] } }),
    ],
    ['a target that is not ready', false, successor(nobody, runsUnready), retired('ReplicaSet')],
    [
      'neither ready, and the source has ended',
      true,
      successor(nobody, runsUnready),
      retired('ReplicaSet', ended),
    ],
    ['a target that does not run', false, successor(nobody), retired('ReplicaSet', ended)],
    [
      'neither ready, and the user wants the target to be deleted first',
      false,
      target('request-uid', { metadata: cost(lowestCost), status: runsUnready }),
      retired('ReplicaSet', ended),
    ],
  ])('deletes the source: %s', (_name, expected, to, from) => {
    expect(isWorthMore(to, from)).toBe(expected);
  });
});
