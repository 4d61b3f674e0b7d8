// SPDX-License-Identifier: Apache-2.0
// The specification of the MigrationRequest controller from the acceptance on, as tables.
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
import { abortConfirmationMs, commitConfirmationMs } from '../requests/deadlines.ts';
import { decideMigration } from './decide.ts';
import type { Observed } from './types.ts';

describe('an accepted request', () => {
  const gated = { targetAgent: { state: 'AtCreateGate' } };
  const held = { ...gated, deadlines: { prepare: at(300), blackout: at(100) } };
  const busy = (status: object = {}, parts: RequestParts = {}): Partial<Observed> => ({
    request: accepted(status as Record<string, unknown>, parts),
    targetPod: target('request-uid'),
  });

  it('creates its target again if that was never seen, with the same name', () => {
    const place = { nodeName: 'b', podName: 'p-reque' };
    const plan = decideMigration(see({ request: accepted({ target: place }) }), NOW);
    expect(plan.effects).toEqual([{ type: 'CreateTarget', nodeName: 'b', podName: 'p-reque' }]);
  });

  it('remembers the uid of its target', () => {
    const place = { nodeName: 'b', podName: 'p-reque' };
    const plan = decideMigration(see(busy({ target: place })), NOW);
    expect(plan.status?.target).toEqual({ ...place, podUID: 'target-uid' });
    expect(plan.effects).toEqual([]);
  });

  it('lets the source hold only once the target is at its gate', () => {
    const early = decideMigration(see(busy({ targetAgent: { state: 'Preparing' } })), NOW);
    expect(early.status?.deadlines).toEqual({ prepare: at(300) });
    const plan = decideMigration(see(busy(gated)), NOW + 5000);
    expect(plan.status?.deadlines).toEqual({ prepare: at(300), blackout: at(105) });
    const later = decideMigration(published(see(busy(gated)), plan), NOW + 60_000);
    expect(later.status?.deadlines, 'a restart keeps it').toEqual({
      prepare: at(300),
      blackout: at(105),
    });
  });

  it('never starts the blackout together with an abort', () => {
    const plan = decideMigration(see(busy(gated, { spec: { cancel: true } })), NOW);
    expect(effects(plan)).toEqual(['ProposeAbort']);
    expect(plan.status?.deadlines).toEqual({ prepare: at(300) });
  });

  it.each<[string, object, string]>([
    ['nothing', {}, 'Preparing'],
    ['a source that holds', { ...held, sourceAgent: { state: 'Dumping' } }, 'Holding'],
    ['a source that sends', { ...held, sourceAgent: { state: 'Transferring' } }, 'Transferring'],
    [
      'a target that restores',
      { ...held, sourceAgent: { state: 'Sent' }, targetAgent: { state: 'Restoring' } },
      'Restoring',
    ],
  ])('shows its phase: %s', (_name, status, phase) => {
    expect(decideMigration(see(busy(status)), NOW).status?.phase).toBe(phase);
  });

  it('shows its conditions in turn', () => {
    const status = {
      ...held,
      sourceAgent: { state: 'Sent' },
      targetAgent: { state: 'AtResumeGate' },
    };
    expect(conditionsOf(decideMigration(see(busy(status)), NOW).status?.conditions)).toMatchObject({
      TargetReady: 'True AtCreateGate',
      Quiesced: 'True Held',
      Checkpointed: 'True ImagesWritten',
      Restored: 'True AtResumeGate',
      Committed: 'Unknown Waiting',
      Succeeded: 'Unknown Pending',
    });
  });

  it('plans the same from the same, and comes again by itself', () => {
    const observed = see(busy(held));
    const plan = decideMigration(observed, NOW);
    expect(decideMigration(observed, NOW)).toEqual(plan);
    expect(plan.requeueAfterMs).toBe(15_000);
    const late = decideMigration(observed, NOW + 99_000);
    expect(late.requeueAfterMs, 'just after the deadline').toBe(1001);
  });

  const waiting = (reason: string): Partial<Observed> => ({
    ...busy(),
    targetPod: target('request-uid', {
      status: { containerStatuses: [container({ waiting: { reason, message: 'why' } })] },
    }),
  });
  const unschedulable = (seconds: number): Partial<Observed> => ({
    ...busy(),
    targetPod: target('request-uid', {
      spec: { nodeName: '' },
      status: {
        conditions: [
          {
            type: 'PodScheduled',
            status: 'False',
            reason: 'Unschedulable',
            message: '0/2 nodes are available',
            lastTransitionTime: at(seconds),
          },
        ],
      },
    }),
  });

  it.each<[string, string, RegExp, Partial<Observed>, number?]>([
    ['cancelled', 'Cancelled', /spec.cancel/, busy(held, { spec: { cancel: true } })],
    ['deleted', 'Cancelled', /deleted/, busy(held, { metadata: { deletionTimestamp: at(0) } })],
    ['source gone', 'SourceGone', /p was deleted/, { ...busy(), sourcePod: undefined }],
    [
      'source replaced',
      'SourceGone',
      /p was replaced/,
      { ...busy(), sourcePod: pod({ metadata: { uid: 'other' } }) },
    ],
    [
      'source being deleted',
      'SourceGone',
      /is being deleted/,
      { ...busy(), sourcePod: pod({ metadata: { deletionTimestamp: at(0) } }) },
    ],
    [
      'source completed',
      'PodCompleted',
      /pod p has completed.*nothing left to move/,
      { ...busy(), sourcePod: pod({ status: { phase: 'Succeeded' } }) },
    ],
    [
      'source failed',
      'SourceLost',
      /has failed/,
      { ...busy(), sourcePod: pod({ status: { phase: 'Failed' } }) },
    ],
    [
      'source restarted',
      'SourceLost',
      /was restarted/,
      {
        ...busy({ source: { nodeName: 'a', podName: 'p', podUID: 'pod-uid', restarts: 2 } }),
        sourcePod: pod({
          status: { containerStatuses: [container({ running: {} }, { restartCount: 3 })] },
        }),
      },
    ],
    [
      'source agent gave up',
      'UnsupportedObject',
      /an SRQ/,
      busy({ sourceAgent: { state: 'Failed', reason: 'UnsupportedObject', message: 'an SRQ' } }),
    ],
    [
      'target agent gave up',
      'ImageCorrupt',
      /altered/,
      busy({ targetAgent: { state: 'Failed', reason: 'ImageCorrupt', message: 'altered' } }),
    ],
    [
      'target agent gave up without a word',
      'TargetFailed',
      /agent of b/,
      busy({ targetAgent: { state: 'TornDown' } }),
    ],
    ['target deleted', 'TargetGone', /p-reque was deleted/, { ...busy(), targetPod: undefined }],
    [
      'target being deleted',
      'TargetGone',
      /being deleted/,
      { ...busy(), targetPod: target('request-uid', { metadata: { deletionTimestamp: at(0) } }) },
    ],
    [
      'a namesake of the target',
      'TargetRejected',
      /Another pod/,
      { ...busy(), targetPod: target('other-request') },
    ],
    [
      'target ended',
      'TargetFailed',
      /phase Failed: Evicted/,
      {
        ...busy(),
        targetPod: target('request-uid', { status: { phase: 'Failed', reason: 'Evicted' } }),
      },
    ],
    ['image missing', 'TargetFailed', /ImagePullBackOff: why/, waiting('ImagePullBackOff')],
    ['restore failed', 'TargetFailed', /RunContainerError/, waiting('RunContainerError')],
    ['no room', 'TargetUnschedulable', /0\/2 nodes/, unschedulable(-15)],
    ['prepared too late', 'PrepareDeadlineExceeded', /300 s/, busy(), NOW + 300_001],
    ['moved too late', 'BlackoutDeadlineExceeded', /100 s/, busy(held), NOW + 100_001],
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
    ['no room, but only just', unschedulable(-14)],
    ['the last moment to prepare', busy(), NOW + 300_000],
    ['the last moment to move', busy(held), NOW + 100_000],
    ['prepared, though the operator slept', busy(gated), NOW + 400_000],
    ['a container that is being created', waiting('ContainerCreating')],
  ])('goes on: %s', (_name, parts, now = NOW) => {
    expect(effects(decideMigration(see(parts), now))).toEqual([]);
  });

  it('looks again when the scheduler’s grace is over', () => {
    expect(decideMigration(see(unschedulable(-12)), NOW).requeueAfterMs).toBe(3000);
  });
});

describe('Committed', () => {
  const status = {
    deadlines: { prepare: at(300), blackout: at(100) },
    sourceAgent: { state: 'Sent' },
    targetAgent: { state: 'AtResumeGate' },
    decision: decision('Committed'),
  };
  const running = { ...status, targetAgent: { state: 'Running' } };
  const labelled = target('request-uid', { metadata: { labels: { app: 'x' } } });
  const seen = (parts: object, pods: Partial<Observed> = {}): Observed =>
    see({
      request: accepted({ ...status, ...parts }),
      sourcePod: undefined,
      targetPod: labelled,
      ...pods,
    });

  it('labels the target before it deletes the source', () => {
    const parts = { sourceAgent: { state: 'Gone' } };
    const pods = { sourcePod: pod(), targetPod: target('request-uid') };
    const plan = decideMigration(seen(parts, pods), NOW);
    expect(plan.effects).toEqual([
      { type: 'LabelTarget' },
      { type: 'DeleteSource', uid: 'pod-uid' },
    ]);
    expect(plan.status?.phase).toBe('Resuming');
  });

  it.each<[string, object, number, string[]]>([
    ['answers alone', {}, 0, []],
    ['answers beside the target', { targetAgent: { state: 'Answering' } }, 0, []],
    ['is silent', { sourceAgent: { state: 'Gone' } }, 0, ['DeleteSource']],
    [
      'says nothing, and the target runs',
      { targetAgent: { state: 'Running' } },
      0,
      ['DeleteSource'],
    ],
    [
      'says nothing, and the target is lost',
      { targetAgent: { state: 'Failed' } },
      0,
      ['DeleteSource'],
    ],
    ['says nothing, nor does the target', {}, commitConfirmationMs + 1, ['DeleteSource']],
  ])('deletes the source when it answers nobody any more: it %s', (_name, parts, later, wanted) => {
    const observed = seen(parts, { sourcePod: pod() });
    const next = published(observed, decideMigration(observed, NOW));
    expect(effects(decideMigration(next, NOW + later))).toEqual(wanted);
  });

  it('stays, whatever is asked for afterwards', () => {
    const gone = { ...status, sourceAgent: { state: 'Gone' } };
    const request = accepted(gone, {
      spec: { cancel: true },
      metadata: { deletionTimestamp: at(0) },
    });
    const plan = decideMigration(seen({}, { request, sourcePod: pod() }), NOW + 1e9);
    expect(effects(plan)).toEqual(['DeleteSource']);
  });

  it('does not delete a namesake of the source', () => {
    const plan = decideMigration(
      seen(running, { sourcePod: pod({ metadata: { uid: 'new' } }) }),
      NOW,
    );
    expect(effects(plan)).not.toContain('DeleteSource');
  });

  it('succeeds when the target runs, lets go of it, and every condition is True', () => {
    const plan = decideMigration(seen(running), NOW + 20_000);
    expect(effects(plan)).toEqual(['DetachTarget', 'RemoveFinalizer']);
    expect(plan.status).toMatchObject({ phase: 'Succeeded', completionTime: at(20) });
    expect(conditionsOf(plan.status?.conditions)).toEqual({
      Validated: 'True Moved',
      TargetReady: 'True AtCreateGate',
      Quiesced: 'True Held',
      Checkpointed: 'True ImagesWritten',
      Restored: 'True AtResumeGate',
      Committed: 'True Committed',
      Succeeded: 'True Moved',
    });
  });

  it('leaves no condition False when the source’s last words were lost', () => {
    const plan = decideMigration(seen({ ...running, sourceAgent: { state: 'Holding' } }), NOW);
    const values = Object.values(conditionsOf(plan.status?.conditions));
    expect(values.filter((one) => !one.startsWith('True'))).toEqual([]);
  });

  it('waits for the target by the operator’s own clock', () => {
    const old = { ...decision('Committed'), time: at(-100_000) };
    const observed = seen({ decision: old });
    const plan = decideMigration(observed, NOW);
    expect(plan.status?.deadlines?.confirmation).toBe(at(commitConfirmationMs / 1000));
    expect(plan.effects).toEqual([]);
    const next = published(observed, plan);
    expect(decideMigration(next, NOW + commitConfirmationMs).effects).toEqual([]);
    const late = decideMigration(next, NOW + commitConfirmationMs + 1);
    expect(summary(late)).toBe('False TargetLost');
    expect(message(late)).toMatch(/Node b has not confirmed/);
  });

  it.each<[string, object, Partial<Observed>]>([
    ['deleted', running, { targetPod: undefined }],
    ['replaced', running, { targetPod: target('other-request') }],
    ['not resumed', { targetAgent: { state: 'Failed', message: 'x' } }, {}],
  ])('says so when the target is lost: %s', (_name, parts, pods) => {
    const plan = decideMigration(seen(parts, pods), NOW);
    expect(summary(plan)).toBe('False TargetLost');
    expect(plan.status?.phase).toBe('Failed');
  });
});

describe('Aborted', () => {
  const status = { decision: decision('Aborted', 'TargetUnschedulable') };
  const seen = (parts: object, pods: Partial<Observed> = {}): Observed =>
    see({ request: accepted({ ...status, ...parts }), ...pods });

  it('removes the target, and by force when its node does not', () => {
    const observed = seen({}, { targetPod: target('request-uid') });
    const plan = decideMigration(observed, NOW);
    expect(plan.effects).toEqual([{ type: 'DeleteTarget', uid: 'target-uid', force: false }]);
    expect(plan.status?.deadlines?.confirmation).toBe(at(abortConfirmationMs / 1000));
    const dying = target('request-uid', { metadata: { deletionTimestamp: at(0) } });
    const next = { ...published(observed, plan), targetPod: dying };
    expect(decideMigration(next, NOW + abortConfirmationMs).effects).toEqual([]);
    expect(decideMigration(next, NOW + abortConfirmationMs + 1).effects).toEqual([
      { type: 'DeleteTarget', uid: 'target-uid', force: true },
    ]);
  });

  it('never touches the source, nor a namesake of the target', () => {
    const plan = decideMigration(seen({}, { targetPod: target('other-request') }), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
  });

  it('waits until the source runs again', () => {
    const observed = seen({ sourceAgent: { state: 'Dumping' } });
    const plan = decideMigration(observed, NOW);
    expect(plan.effects).toEqual([]);
    expect(summary(plan)).toBe('Unknown TargetUnschedulable');
    const back = decideMigration(seen({ sourceAgent: { state: 'Resumed' } }), NOW);
    expect(summary(back)).toBe('False TargetUnschedulable');
    expect(message(back)).toBe('because of TargetUnschedulable.');
    expect(conditionsOf(back.status?.conditions)['Quiesced']).toBe('False Resumed');
  });

  it('ends with a warning when the source’s node says nothing', () => {
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

  it('ends with PodCompleted if the agent has taken a completed pod for a lost one', () => {
    const lost = { state: 'Lost', reason: 'SourceLost', message: 'no container runs' };
    const plan = decideMigration(
      seen(
        { decision: decision('Aborted', 'SourceLost'), sourceAgent: lost },
        { sourcePod: pod({ status: { phase: 'Succeeded' } }) },
      ),
      NOW,
    );
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(summary(plan)).toBe('False PodCompleted');
    expect(message(plan)).toMatch(/has completed/);
    expect(conditionsOf(plan.status?.conditions)['Committed']).toBe('False PodCompleted');
  });

  it('by cancelling is no failure', () => {
    const plan = decideMigration(seen({ decision: decision('Aborted', 'Cancelled') }), NOW);
    expect(plan.status?.phase).toBe('Cancelled');
  });

  it('by anybody before the request was accepted ends it', () => {
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

  it('still loses its finalizer, a leftover target and the target’s mark', () => {
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
      { type: 'DetachTarget' },
    ]);
    const plain = target('request-uid', {
      metadata: { annotations: { 'sealift.dev/request-uid': 'request-uid' } },
    });
    expect(plain.metadata.labels[labels.role]).toBe('target');
    expect(decideMigration({ ...done('Committed'), targetPod: plain }, NOW).effects).toEqual([]);
  });
});
