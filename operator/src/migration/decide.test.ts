// SPDX-License-Identifier: Apache-2.0
// The specification of the MigrationRequest controller from the acceptance on, as tables; after `Committed`:
// committed.test.ts.
import { describe, expect, it } from 'vitest';
import { finalizers, labels } from '../../../crds/src/index.ts';
import { effects, message, published, see, summary } from '../../testing/migration.ts';
import {
  accepted,
  at,
  conditionsOf,
  container,
  decision,
  migration,
  NOW,
  pod,
  succeeded,
  target,
  type RequestParts,
} from '../../testing/objects.ts';
import { abortConfirmationMs } from '../requests/deadlines.ts';
import { decideMigration } from './decide.ts';
import type { Observed } from './types.ts';

describe('an accepted request', () => {
  const prepared = { targetAgent: { state: 'AtCreateGate' } };
  const inBlackout = { ...prepared, deadlines: { prepare: at(300), blackout: at(100) } };
  const undecided = (status: object = {}, parts: RequestParts = {}): Partial<Observed> => ({
    request: accepted(status as Record<string, unknown>, parts),
    targetPod: target('request-uid'),
  });

  it('creates its target again, with the same name, if an earlier run did not see it', () => {
    const place = { nodeName: 'b', podName: 'p-reque' };
    const plan = decideMigration(see({ request: accepted({ target: place }) }), NOW);
    expect(plan.effects).toEqual([{ type: 'CreateTarget', nodeNames: ['b'], podName: 'p-reque' }]);
  });

  it('records the UID of its target', () => {
    const place = { nodeName: 'b', podName: 'p-reque' };
    const plan = decideMigration(see(undecided({ target: place })), NOW);
    expect(plan.status?.target).toEqual({ ...place, podUID: 'target-uid' });
    expect(plan.effects).toEqual([]);
  });

  it('starts the blackout only once the target is at its create gate', () => {
    const early = decideMigration(see(undecided({ targetAgent: { state: 'Preparing' } })), NOW);
    expect(early.status?.deadlines).toEqual({ prepare: at(300) });
    const plan = decideMigration(see(undecided(prepared)), NOW + 5000);
    expect(plan.status?.deadlines).toEqual({ prepare: at(300), blackout: at(105) });
    const later = decideMigration(published(see(undecided(prepared)), plan), NOW + 60_000);
    expect(later.status?.deadlines, 'a restart keeps it').toEqual({
      prepare: at(300),
      blackout: at(105),
    });
  });

  it('never starts the blackout together with an abort', () => {
    const plan = decideMigration(see(undecided(prepared, { spec: { cancel: true } })), NOW);
    expect(effects(plan)).toEqual(['ProposeAbort']);
    expect(plan.status?.deadlines).toEqual({ prepare: at(300) });
  });

  it.each<[string, object, string]>([
    ['nothing', {}, 'Preparing'],
    ['a source that is dumped', { ...inBlackout, sourceAgent: { state: 'Dumping' } }, 'Holding'],
    [
      'a source whose images are sent',
      { ...inBlackout, sourceAgent: { state: 'Transferring' } },
      'Transferring',
    ],
    [
      'a target that is restored',
      { ...inBlackout, sourceAgent: { state: 'Sent' }, targetAgent: { state: 'Restoring' } },
      'Restoring',
    ],
  ])('shows its phase: %s', (_name, status, phase) => {
    expect(decideMigration(see(undecided(status)), NOW).status?.phase).toBe(phase);
  });

  it('shows its conditions in turn', () => {
    const status = {
      ...inBlackout,
      sourceAgent: { state: 'Sent' },
      targetAgent: { state: 'AtResumeGate' },
    };
    expect(
      conditionsOf(decideMigration(see(undecided(status)), NOW).status?.conditions),
    ).toMatchObject({
      TargetReady: 'True AtCreateGate',
      Quiesced: 'True Held',
      Checkpointed: 'True ImagesWritten',
      Restored: 'True AtResumeGate',
      Committed: 'Unknown Waiting',
      Succeeded: 'Unknown Pending',
    });
  });

  it('plans the same from the same observation, and is looked at again at the deadline', () => {
    const observed = see(undecided(inBlackout));
    const plan = decideMigration(observed, NOW);
    expect(decideMigration(observed, NOW)).toEqual(plan);
    expect(plan.requeueAfterMs).toBe(15_000);
    const late = decideMigration(observed, NOW + 99_000);
    expect(late.requeueAfterMs, 'just after the deadline').toBe(1001);
  });

  const waiting = (reason: string): Partial<Observed> => ({
    ...undecided(),
    targetPod: target('request-uid', {
      status: { containerStatuses: [container({ waiting: { reason, message: 'why' } })] },
    }),
  });
  /** The scheduler's clock is an hour behind. */
  const unschedulable = (seconds: number, nominatedNodeName = ''): Partial<Observed> => ({
    ...undecided(),
    unschedulableMs: seconds * 1000,
    targetPod: target('request-uid', {
      spec: { nodeName: '' },
      status: {
        nominatedNodeName,
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            reason: 'Unschedulable',
            message: '0/2 nodes are available',
            lastTransitionTime: at(-3600),
          },
        ],
      },
    }),
  });

  it.each<[string, string, RegExp, Partial<Observed>, number?]>([
    ['cancelled', 'Cancelled', /spec.cancel/, undecided(inBlackout, { spec: { cancel: true } })],
    [
      'deleted',
      'Cancelled',
      /deleted/,
      undecided(inBlackout, { metadata: { deletionTimestamp: at(0) } }),
    ],
    ['source gone', 'SourceGone', /p was deleted/, { ...undecided(), sourcePod: undefined }],
    [
      'source replaced',
      'SourceGone',
      /p was replaced/,
      { ...undecided(), sourcePod: pod({ metadata: { uid: 'other' } }) },
    ],
    [
      'source being deleted',
      'SourceGone',
      /is being deleted/,
      { ...undecided(), sourcePod: pod({ metadata: { deletionTimestamp: at(0) } }) },
    ],
    [
      'source completed',
      'PodCompleted',
      /pod p has completed.*nothing left to move/,
      { ...undecided(), sourcePod: pod({ status: { phase: 'Succeeded' } }) },
    ],
    [
      'source failed',
      'SourceLost',
      /has failed/,
      { ...undecided(), sourcePod: pod({ status: { phase: 'Failed' } }) },
    ],
    [
      'source restarted',
      'SourceLost',
      /was restarted/,
      {
        ...undecided({ source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid', restarts: 2 } }),
        sourcePod: pod({
          status: { containerStatuses: [container({ running: {} }, { restartCount: 3 })] },
        }),
      },
    ],
    [
      'source agent failed',
      'UnsupportedObject',
      /an SRQ/,
      undecided({
        sourceAgent: { state: 'Failed', reason: 'UnsupportedObject', message: 'an SRQ' },
      }),
    ],
    [
      'target agent failed',
      'ImageCorrupt',
      /altered/,
      undecided({ targetAgent: { state: 'Failed', reason: 'ImageCorrupt', message: 'altered' } }),
    ],
    [
      'target agent failed without a reason',
      'TargetFailed',
      /agent of node b/,
      undecided({ targetAgent: { state: 'TornDown' } }),
    ],
    [
      'target deleted',
      'TargetGone',
      /p-reque was deleted/,
      { ...undecided(), targetPod: undefined },
    ],
    [
      'target being deleted',
      'TargetGone',
      /being deleted/,
      {
        ...undecided(),
        targetPod: target('request-uid', { metadata: { deletionTimestamp: at(0) } }),
      },
    ],
    [
      'another pod of the target’s name',
      'TargetRejected',
      /Another pod/,
      { ...undecided(), targetPod: target('other-request') },
    ],
    [
      'target ended',
      'TargetFailed',
      /phase Failed: Evicted/,
      {
        ...undecided(),
        targetPod: target('request-uid', { status: { phase: 'Failed', reason: 'Evicted' } }),
      },
    ],
    ['no image of that name', 'TargetFailed', /InvalidImageName: why/, waiting('InvalidImageName')],
    [
      'image not pulled in time',
      'PrepareDeadlineExceeded',
      /container main: ImagePullBackOff: why/,
      waiting('ImagePullBackOff'),
      NOW + 300_001,
    ],
    [
      'an image that cannot be pulled while the source waits',
      'TargetFailed',
      /ErrImagePull: why/,
      { ...undecided(inBlackout), targetPod: waiting('ErrImagePull').targetPod },
    ],
    ['restore failed', 'TargetFailed', /RunContainerError/, waiting('RunContainerError')],
    ['no room for the target', 'TargetUnschedulable', /0\/2 nodes/, unschedulable(15)],
    ['not prepared in time', 'PrepareDeadlineExceeded', /300 s/, undecided(), NOW + 300_001],
    [
      'not migrated in time',
      'BlackoutDeadlineExceeded',
      /100 s/,
      undecided(inBlackout),
      NOW + 100_001,
    ],
  ])('is aborted: %s', (_name, reason, text, parts, now = NOW) => {
    const plan = decideMigration(see(parts), now);
    expect(plan.effects).toEqual([
      { type: 'ProposeAbort', reason, message: expect.stringMatching(text) as string },
    ]);
    expect(plan.status?.phase).toBe('RollingBack');
    expect(summary(plan)).toBe(`Unknown ${reason}`);
    expect(plan.status?.completionTime).toBeUndefined();
  });

  it.each<[string, Partial<Observed>, number?]>([
    ['no room within the scheduler’s grace', unschedulable(14)],
    ['the last moment before the prepare deadline', undecided(), NOW + 300_000],
    ['the last moment before the blackout deadline', undecided(inBlackout), NOW + 100_000],
    ['prepared while the operator did not run', undecided(prepared), NOW + 400_000],
    ['a container that is being created', waiting('ContainerCreating')],
    ['an image that was not pulled yet', waiting('ErrImagePull'), NOW + 300_000],
    ['an image that is tried again', waiting('ImagePullBackOff'), NOW + 300_000],
    ['pods of lower priority that make room', unschedulable(60, 'b')],
  ])('is not aborted: %s', (_name, parts, now = NOW) => {
    expect(effects(decideMigration(see(parts), now))).toEqual([]);
  });

  it('is looked at again when the scheduler’s grace is over', () => {
    expect(decideMigration(see(unschedulable(12)), NOW).requeueAfterMs).toBe(3000);
  });
});

describe('Aborted', () => {
  const status = { decision: decision('Aborted', 'TargetUnschedulable') };
  const seen = (parts: object, pods: Partial<Observed> = {}): Observed =>
    see({ request: accepted({ ...status, ...parts }), ...pods });

  it('deletes the target, by force when its node does not', () => {
    const observed = seen({}, { targetPod: target('request-uid') });
    const plan = decideMigration(observed, NOW);
    expect(plan.effects).toEqual([{ type: 'DeleteTarget', uid: 'target-uid', force: false }]);
    expect(plan.status?.deadlines?.confirmation).toBe(at(abortConfirmationMs / 1000));
    const terminating = target('request-uid', { metadata: { deletionTimestamp: at(0) } });
    const next = { ...published(observed, plan), targetPod: terminating };
    expect(decideMigration(next, NOW + abortConfirmationMs).effects).toEqual([]);
    expect(decideMigration(next, NOW + abortConfirmationMs + 1).effects).toEqual([
      { type: 'DeleteTarget', uid: 'target-uid', force: true },
    ]);
  });

  it('never deletes the source, nor another pod of the target’s name', () => {
    const plan = decideMigration(seen({}, { targetPod: target('other-request') }), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
  });

  it('waits until the source runs again', () => {
    const observed = seen({ sourceAgent: { state: 'Dumping' } });
    const plan = decideMigration(observed, NOW);
    expect(plan.effects).toEqual([]);
    expect(summary(plan)).toBe('Unknown TargetUnschedulable');
    const steps = [{ name: 'hold', startTime: at(0) }];
    const back = decideMigration(seen({ sourceAgent: { state: 'Resumed', steps } }), NOW);
    expect(summary(back)).toBe('False TargetUnschedulable');
    expect(message(back)).toBe('because of TargetUnschedulable.');
    expect(conditionsOf(back.status?.conditions)['Quiesced']).toBe('False Resumed');
  });

  it('does not say that a source runs again that has run all the time', () => {
    const plan = decideMigration(seen({ sourceAgent: { state: 'Resumed' } }), NOW);
    expect(summary(plan)).toBe('False TargetUnschedulable');
    expect(conditionsOf(plan.status?.conditions)['Quiesced']).toBe('False TargetUnschedulable');
  });

  it('ends with a warning when the source’s node is silent', () => {
    const observed = seen({ sourceAgent: { state: 'Dumping' } });
    const next = published(observed, decideMigration(observed, NOW));
    const plan = decideMigration(next, NOW + abortConfirmationMs + 1);
    expect(summary(plan)).toBe('False TargetUnschedulable');
    expect(message(plan)).toMatch(/Node a has not confirmed/);
  });

  it('joins what the agents report to whole sentences', () => {
    const decided = { ...decision('Aborted', 'ImageCorrupt'), message: 'pages-1.img is gone' };
    const targetAgent = { state: 'TornDown', message: 'Torn down. (logs: node b, /y)' };
    const sourceAgent = { state: 'Resumed', message: 'resumed (logs: node a, /x)' };
    const plan = decideMigration(seen({ decision: decided, sourceAgent, targetAgent }), NOW);
    expect(message(plan)).toBe(
      'pages-1.img is gone. resumed (logs: node a, /x). Torn down. (logs: node b, /y)',
    );
  });

  it('does not wait for ever for a target that a finalizer of others keeps', () => {
    const observed = seen({}, { targetPod: target('request-uid') });
    const metadata = { deletionTimestamp: at(0), finalizers: ['example.com/keep'] };
    const next = {
      ...published(observed, decideMigration(observed, NOW)),
      targetPod: target('request-uid', { metadata: { ...metadata } }),
    };
    const forced = decideMigration(next, NOW + abortConfirmationMs + 1);
    expect(forced.effects).toMatchObject([{ type: 'DeleteTarget', force: true }]);
    const plan = decideMigration(next, NOW + abortConfirmationMs + 5_001);
    expect(summary(plan)).toBe('False TargetUnschedulable');
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(message(plan)).toMatch(/Pod p-reque is deleted, but .*: example\.com\/keep\./);
  });

  it('by cancelling ends in phase Cancelled, not Failed', () => {
    const plan = decideMigration(seen({ decision: decision('Aborted', 'Cancelled') }), NOW);
    expect(plan.status?.phase).toBe('Cancelled');
  });

  it('before the request was accepted ends it', () => {
    const plan = decideMigration(see({ request: migration({ status }) }), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
  });
});

describe('a finished request', () => {
  const done = (outcome: 'Committed' | 'Aborted', parts: RequestParts = {}): Observed =>
    see({
      request: accepted(
        { decision: decision(outcome), conditions: [succeeded('False', 'X')] },
        { metadata: { finalizers: [] }, ...parts },
      ),
    });

  it('is left alone', () => {
    const plan = decideMigration(done('Committed'), NOW + 1e9);
    expect(plan.effects).toEqual([]);
    expect(plan.requeueAfterMs).toBeUndefined();
  });

  it('still loses its finalizer, a remaining target, and the target’s reference to it', () => {
    expect(
      effects(
        decideMigration(done('Aborted', { metadata: { finalizers: [finalizers.active] } }), NOW),
      ),
    ).toEqual(['RemoveFinalizer']);
    const targetPod = target('request-uid');
    expect(decideMigration({ ...done('Aborted'), targetPod }, NOW).effects).toEqual([
      { type: 'DeleteTarget', uid: 'target-uid', force: false },
    ]);
    expect(decideMigration({ ...done('Committed'), targetPod }, NOW).effects).toEqual([
      { type: 'ReleaseTarget' },
    ]);
    const plain = target('request-uid', {
      metadata: { annotations: { 'sealift.dev/request-uid': 'request-uid' } },
    });
    expect(plain.metadata.labels[labels.role]).toBe('target');
    expect(decideMigration({ ...done('Committed'), targetPod: plain }, NOW).effects).toEqual([]);
  });

  it('is deleted when spec.ttlSecondsAfterFinished is over, and nothing is left', () => {
    const seen = (finalizers: string[]): Observed => {
      const request = accepted(
        { completionTime: at(-10), conditions: [succeeded('True', 'Moved')] },
        { spec: { ttlSecondsAfterFinished: 60 }, metadata: { finalizers } },
      );
      return see({ request });
    };
    expect(decideMigration(seen([]), NOW)).toMatchObject({ effects: [], requeueAfterMs: 50_000 });
    expect(effects(decideMigration(seen([]), NOW + 50_000))).toEqual(['DeleteRequest']);
    const left = seen([finalizers.active]);
    expect(effects(decideMigration(left, NOW + 50_000))).toEqual(['RemoveFinalizer']);
    const noted = [{ nodeName: 'n', time: at(-10) }];
    const first = { ...seen([]), finished: { since: NOW - 10_000, seen: noted } };
    expect(decideMigration(first, NOW).status).toMatchObject({
      ...{ completionTime: at(-10), finishedSeen: noted, startTime: at(0) },
    });
  });
});
