// SPDX-License-Identifier: Apache-2.0
// The specification of the RestoreRequest controller, as tables.
import { describe, expect, it } from 'vitest';
import { annotations, finalizers, type RestoreRequest } from '../../../crds/src/index.ts';
import {
  at,
  checkpoint,
  conditionsOf,
  container,
  decision,
  node,
  NOW,
  pod,
  restore,
  stored,
  succeeded,
  target,
  type RequestParts,
} from '../../testing/objects.ts';
import { abortConfirmationMs, commitConfirmationMs, lastLookMs } from '../requests/deadlines.ts';
import { decideRestore } from './decide.ts';
import type { Observed, RestorePlan } from './types.ts';

const identity = { networks: '[]', keepsDevice: true };

function see(parts: Partial<Observed> = {}): Observed {
  return {
    request: restore(),
    checkpoint: stored(),
    targetPod: undefined,
    unschedulableMs: 0,
    finished: { since: NOW - 10_000 },
    podName: 'p-reque',
    nodes: [node('a'), node('b')],
    load: new Map([['a', 1]]),
    identity,
    ...parts,
  };
}

const effects = (plan: RestorePlan): string[] => plan.effects.map((one) => one.type);
const summary = (plan: RestorePlan): string | undefined =>
  conditionsOf(plan.status?.conditions)['Succeeded'];
const message = (plan: RestorePlan): string | undefined =>
  plan.status?.conditions?.find((one) => one.type === 'Succeeded')?.message;

function published(observed: Observed, plan: RestorePlan): Observed {
  const status = { ...observed.request.status, ...plan.status };
  return { ...observed, request: { ...observed.request, status } };
}

function accepted(status: object = {}, parts: RequestParts = {}): RestoreRequest {
  return restore({
    ...parts,
    status: {
      startTime: at(0),
      checkpointId: 'saved-uid',
      source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid' },
      target: { nodeName: 'b', podName: 'p-reque', podUID: 'target-uid' },
      deadlines: { prepare: at(300) },
      ...status,
    },
  });
}

describe('a new request', () => {
  it('gets its finalizer first, then a node and a target', () => {
    const bare = see({ request: restore({ metadata: { finalizers: [] } }) });
    expect(effects(decideRestore(bare, NOW))).toEqual(['AddFinalizer']);
    const plan = decideRestore(see(), NOW);
    expect(plan.status).toMatchObject({
      phase: 'Preparing',
      checkpointId: 'saved-uid',
      digest: 'sha256:1',
      source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid', agentAddress: 'a:7461' },
      target: { candidates: ['b', 'a'], podName: 'p-reque' },
      deadlines: { prepare: at(300) },
    });
    const nodeNames = ['b', 'a'];
    expect(plan.effects).toEqual([{ type: 'CreateTarget', nodeNames, identity }]);
  });

  it('may use the node that stores the images', () => {
    const request = restore({ spec: { targetNodeName: 'a' } });
    expect(decideRestore(see({ request }), NOW).status?.target?.nodeName).toBe('a');
  });

  it.each<[string, string, RegExp, Partial<Observed>]>([
    [
      'no checkpoint',
      'CheckpointNotFound',
      /no CheckpointRequest saved/,
      { checkpoint: undefined },
    ],
    [
      'a checkpoint that has not finished',
      'CheckpointNotReady',
      /its phase is Checkpointing/,
      { checkpoint: checkpoint({ status: { phase: 'Checkpointing' } }) },
    ],
    [
      'a checkpoint that has failed',
      'CheckpointNotReady',
      /Create a new request with one that has succeeded/,
      { checkpoint: stored({ conditions: [succeeded('False', 'X')], phase: 'Failed' }) },
    ],
    [
      'a checkpoint being deleted',
      'CheckpointNotReady',
      /no images/,
      { checkpoint: stored({}, { metadata: { deletionTimestamp: at(0) } }) },
    ],
    ['a pod of that name', 'PodNameTaken', /another spec.podName/, { targetPod: pod() }],
    [
      'images on a node without an agent',
      'CheckpointNodeUnavailable',
      /no working Sealift agent/,
      { nodes: [node('a', { address: null }), node('b')] },
    ],
    [
      'images on a node that is not Ready',
      'CheckpointNodeUnavailable',
      /not Ready/,
      { nodes: [node('a', { ready: false }), node('b')] },
    ],
    [
      'images on a node that is gone',
      'CheckpointNodeUnavailable',
      /Node a/,
      { nodes: [node('b')] },
    ],
    [
      'an unknown target',
      'TargetNodeNotFound',
      /no node c/,
      { request: restore({ spec: { targetNodeName: 'c' } }) },
    ],
    [
      'a target that lacks a CPU feature of the checkpoint',
      'NoCompatibleNode',
      /Node b lacks CPU features that the pod may use: avx512f/,
      {
        checkpoint: stored({ cpuFeatures: 'avx avx512f' }),
        nodes: [node('a', { cpu: 'avx avx512f' }), node('b', { cpu: 'avx' })],
        request: restore({ spec: { targetNodeName: 'b' } }),
      },
    ],
    [
      'an address that another pod owns',
      'AddressInUse',
      /taken/,
      { identity: { reason: 'AddressInUse', message: 'taken' } },
    ],
  ])('is refused: %s', (_name, reason, text, parts) => {
    const plan = decideRestore(see(parts), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(summary(plan)).toBe(`False ${reason}`);
    expect(message(plan)).toMatch(text);
    expect(plan.status?.phase).toBe('Failed');
    expect(plan.status?.target).toBeUndefined();
  });

  it('that is deleted at once changes nothing', () => {
    const request = restore({ metadata: { deletionTimestamp: at(0) } });
    const plan = decideRestore(see({ request }), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(plan.status?.phase).toBe('Cancelled');
  });
});

describe('an accepted request', () => {
  const undecided = (status: object = {}, parts: RequestParts = {}): Partial<Observed> => ({
    request: accepted(status, parts),
    targetPod: target('request-uid'),
  });
  const prepared = { targetAgent: { state: 'AtCreateGate' } };
  const inBlackout = { ...prepared, deadlines: { prepare: at(300), blackout: at(100) } };

  it('creates its target again if an earlier run did not see it', () => {
    const place = { nodeName: 'b', podName: 'p-reque' };
    const plan = decideRestore(see({ request: accepted({ target: place }) }), NOW);
    expect(plan.effects).toEqual([{ type: 'CreateTarget', nodeNames: ['b'], identity }]);
  });

  it('sets the blackout deadline once, when the target is prepared', () => {
    const plan = decideRestore(see(undecided(prepared)), NOW + 5000);
    expect(plan.status?.deadlines).toEqual({ prepare: at(300), blackout: at(105) });
    expect(plan.status?.phase).toBe('Transferring');
    const later = decideRestore(published(see(undecided(prepared)), plan), NOW + 60_000);
    expect(later.status?.deadlines?.blackout).toBe(at(105));
  });

  it.each<[string, string, Partial<Observed>, number?]>([
    ['deleted', 'Cancelled', undecided({}, { metadata: { deletionTimestamp: at(0) } })],
    [
      'image source failed',
      'ImageCorrupt',
      undecided({ sourceAgent: { state: 'Failed', reason: 'ImageCorrupt' } }),
    ],
    [
      'restore failed',
      'RestoreFailed',
      undecided({ targetAgent: { state: 'Failed', reason: 'RestoreFailed' } }),
    ],
    [
      'agent failed without a reason',
      'TargetFailed',
      undecided({ targetAgent: { state: 'TornDown' } }),
    ],
    [
      'another pod of the target’s name',
      'PodNameTaken',
      { ...undecided(), targetPod: target('other-request') },
    ],
    ['target deleted', 'TargetGone', { ...undecided(), targetPod: undefined }],
    [
      'checkpoint deleted before the target was created',
      'CheckpointNotFound',
      {
        request: accepted({ target: { nodeName: 'b', podName: 'p-reque' } }),
        checkpoint: undefined,
      },
    ],
    [
      'address taken before the target was created',
      'AddressInUse',
      {
        request: accepted({ target: { nodeName: 'b', podName: 'p-reque' } }),
        identity: { reason: 'AddressInUse', message: 'x' },
      },
    ],
    [
      'no image of that name',
      'TargetFailed',
      {
        ...undecided(),
        targetPod: target('request-uid', {
          status: { containerStatuses: [container({ waiting: { reason: 'InvalidImageName' } })] },
        }),
      },
    ],
    ['prepared too late', 'PrepareDeadlineExceeded', undecided(), NOW + 300_001],
    ['restored too late', 'BlackoutDeadlineExceeded', undecided(inBlackout), NOW + 100_001],
  ])('is aborted: %s', (_name, reason, parts, now = NOW) => {
    const plan = decideRestore(see(parts), now);
    expect(plan.effects).toMatchObject([{ type: 'ProposeAbort', reason }]);
    expect(plan.status?.phase).toBe('TearingDown');
    expect(plan.status?.deadlines?.blackout).toBe(
      (parts.request ?? accepted()).status?.deadlines?.blackout,
    );
  });

  it('is not aborted if it was prepared while the operator did not run', () => {
    expect(effects(decideRestore(see(undecided(prepared)), NOW + 400_000))).toEqual([]);
  });

  it('is not aborted if the checkpoint is deleted later', () => {
    expect(effects(decideRestore(see({ ...undecided(), checkpoint: undefined }), NOW))).toEqual([]);
  });
});

describe('Committed', () => {
  const status = { decision: decision('Committed'), targetAgent: { state: 'AtResumeGate' } };
  const allowed = target('request-uid', { metadata: { labels: { app: 'x' } } });
  const seen = (parts: object, targetPod: Observed['targetPod'] = allowed): Observed =>
    see({ request: accepted({ ...status, ...parts }), targetPod });

  it('lets Services select the target, waits until it runs, detaches it', () => {
    expect(effects(decideRestore(seen({}, target('request-uid')), NOW))).toEqual(['AllowTraffic']);
    expect(effects(decideRestore(seen({}), NOW))).toEqual([]);
    const running = seen({ targetAgent: { state: 'Running' } });
    const first = decideRestore(running, NOW);
    expect(first).toMatchObject({ effects: [], requeueAfterMs: lastLookMs });
    const plan = decideRestore(published(running, first), NOW + lastLookMs);
    expect(effects(plan)).toEqual(['ReleaseTarget', 'RemoveFinalizer']);
    expect(summary(plan)).toBe('True PodRestored');
    const { Failed: _opposite, ...others } = conditionsOf(plan.status?.conditions);
    expect(Object.values(others).filter((one) => !one.startsWith('True'))).toEqual([]);
  });

  it('waits for a silent node by the operator’s clock, over a restart', () => {
    const observed = seen({ decision: { ...decision('Committed'), time: at(-1e6) } });
    const plan = decideRestore(observed, NOW);
    expect(plan.status?.deadlines?.confirmation).toBe(at(commitConfirmationMs / 1000));
    const next = published(observed, plan);
    expect(decideRestore(next, NOW + commitConfirmationMs).effects).toEqual([]);
    expect(summary(decideRestore(next, NOW + commitConfirmationMs + 1))).toBe('False TargetLost');
  });

  it('fails with TargetLost', () => {
    const gone = see({ request: accepted(status), targetPod: undefined });
    expect(summary(decideRestore(gone, NOW))).toBe('False TargetLost');
    expect(message(decideRestore(gone, NOW))).toMatch(
      /another RestoreRequest with spec\.checkpointName/,
    );
    const failed = seen({ targetAgent: { state: 'Failed', message: 'x' } });
    expect(summary(decideRestore(failed, NOW))).toBe('False TargetLost');
  });
});

describe('Aborted', () => {
  const status = { decision: decision('Aborted', 'RestoreFailed') };

  it('deletes the target, by force when its node does not, and then ends', () => {
    const observed = see({ request: accepted(status), targetPod: target('request-uid') });
    const plan = decideRestore(observed, NOW);
    expect(plan.effects).toEqual([{ type: 'DeleteTarget', uid: 'target-uid', force: false }]);
    const terminating = target('request-uid', { metadata: { deletionTimestamp: at(0) } });
    const next = { ...published(observed, plan), targetPod: terminating };
    expect(decideRestore(next, NOW + abortConfirmationMs).effects).toEqual([]);
    expect(decideRestore(next, NOW + abortConfirmationMs + 1).effects).toEqual([
      { type: 'DeleteTarget', uid: 'target-uid', force: true },
    ]);
    const end = decideRestore({ ...next, targetPod: undefined }, NOW);
    expect(effects(end)).toEqual(['RemoveFinalizer']);
    expect(summary(end)).toBe('False RestoreFailed');
  });

  it('does not delete another pod of the target’s name', () => {
    const plan = decideRestore(see({ request: accepted(status), targetPod: pod() }), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
  });
});

describe('a finished request', () => {
  const done = (outcome: 'Committed' | 'Aborted', targetPod: Observed['targetPod']): Observed =>
    see({
      request: accepted({
        decision: decision(outcome),
        conditions: [succeeded('True', 'PodRestored')],
      }),
      targetPod,
    });

  it('leaves nothing behind', () => {
    const targetPod = target('request-uid', {
      metadata: {
        annotations: {
          [annotations.requestUid]: 'request-uid',
          [annotations.restore]: 'default/again',
        },
      },
    });
    expect(effects(decideRestore(done('Aborted', targetPod), NOW))).toEqual([
      'DeleteTarget',
      'RemoveFinalizer',
    ]);
    expect(effects(decideRestore(done('Committed', targetPod), NOW))).toEqual([
      'ReleaseTarget',
      'RemoveFinalizer',
    ]);
    expect(done('Committed', targetPod).request.metadata.finalizers).toEqual([finalizers.active]);
    expect(effects(decideRestore(done('Committed', pod()), NOW))).toEqual(['RemoveFinalizer']);
  });
});
