// SPDX-License-Identifier: Apache-2.0
// What is done about a source that was lost before the decision, in which order, and when nothing is done.
import { describe, expect, it } from 'vitest';
import { completionGraceMs } from '../../../crds/src/index.ts';
import { effects, message, published, see, summary } from '../../testing/migration.ts';
import {
  accepted,
  at,
  conditionsOf,
  decision,
  NOW,
  pod,
  restore,
  stored,
  target,
  type RequestParts,
} from '../../testing/objects.ts';
import { abortConfirmationMs } from '../requests/deadlines.ts';
import { decideMigration } from './decide.ts';
import { restoreName, sourceLossGraceMs } from './recovery.ts';
import type { Observed } from './types.ts';

const lost = { state: 'Lost', reason: 'SourceLost', message: 'its node was reset' };
const asked: RequestParts = { spec: { onSourceLoss: 'RestoreNewestCheckpoint' } };
const seen = (
  status: object = {},
  parts: RequestParts = asked,
  pods: Partial<Observed> = {},
): Observed =>
  see({
    request: accepted(
      { decision: decision('Aborted', 'SourceLost'), sourceAgent: lost, ...status },
      parts,
    ),
    checkpoints: [stored()],
    ...pods,
  });
const name = restoreName({ name: 'move', uid: 'request-uid' });
const begun = { recovery: { checkpointName: 'saved', restoreRequestName: name } };

describe('a source that was lost', () => {
  it('is left to its kubelet by default', () => {
    const plan = decideMigration(seen({}, {}), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(summary(plan)).toBe('False SourceLost');
    expect(message(plan)).toMatch(
      /its node was reset.*restartPolicy.*kubectl get creq -n .* RestoreRequest/,
    );
    expect(plan.status?.recovery).toBeUndefined();
    expect(plan.status?.phase).toBe('Failed');
  });

  it('is deleted first; the status names before what takes its place', () => {
    const plan = decideMigration(seen(), NOW);
    expect(plan.status?.recovery).toEqual(begun.recovery);
    expect(plan.effects).toEqual([{ type: 'DeleteLostSource', uid: 'pod-uid' }]);
    expect(summary(plan)).toBe('Unknown SourceLost');
  });

  it('is never deleted by force', () => {
    const terminating = pod({ metadata: { deletionTimestamp: at(0) } });
    const plan = decideMigration(seen(begun, asked, { sourcePod: terminating }), NOW + 60_000);
    expect(plan.effects).toEqual([]);
    expect(summary(plan)).toBe('Unknown SourceLost');
  });

  it.each<[string, Partial<Observed>]>([
    ['gone', { sourcePod: undefined }],
    ['gone, and another pod has its name', { sourcePod: pod({ metadata: { uid: 'other' } }) }],
  ])('is restored once it is %s', (_name, pods) => {
    const plan = decideMigration(seen(begun, asked, pods), NOW);
    expect(plan.effects).toEqual([{ type: 'CreateRestoreRequest', name, checkpointName: 'saved' }]);
    expect(plan.requeueAfterMs).toBe(0);
  });

  it('ends once the RestoreRequest exists, and names it', () => {
    const again = { sourcePod: undefined, restore: restore({ metadata: { name } }) };
    const plan = decideMigration(seen(begun, asked, again), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(summary(plan)).toBe('False SourceLost');
    expect(message(plan)).toContain(`RestoreRequest ${name}`);
    expect(plan.status?.recovery).toEqual(begun.recovery);
    const conditions = plan.status?.conditions;
    const after = decideMigration(seen({ ...begun, conditions }, asked, again), NOW + 1e9);
    expect(after.effects.filter((one) => one.type !== 'RemoveFinalizer')).toEqual([]);
    expect(after.status?.recovery).toEqual(begun.recovery);
  });

  it.each<[string, RegExp, Observed]>([
    [
      'there is no checkpoint',
      /no CheckpointRequest of pod p .*Create a CheckpointRequest/,
      seen({}, asked, { checkpoints: [] }),
    ],
    [
      'the request was deleted',
      /request was deleted.*kubectl get creq/,
      seen({}, { ...asked, metadata: { deletionTimestamp: at(0) } }),
    ],
    [
      'the pod was deleted',
      /pod was deleted.*kubectl get creq/,
      seen({}, asked, { sourcePod: undefined }),
    ],
    [
      'the pod is being deleted',
      /pod was deleted/,
      seen({}, asked, { sourcePod: pod({ metadata: { deletionTimestamp: at(0) } }) }),
    ],
  ])('is not restored if %s', (_name, text, observed) => {
    const plan = decideMigration(observed, NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(summary(plan)).toBe('False SourceLost');
    expect(message(plan)).toMatch(text);
    expect(plan.status?.recovery?.restoreRequestName).toBeUndefined();
  });

  it('is restored although the request is deleted after the status has named the RestoreRequest', () => {
    const deleted = { ...asked, metadata: { deletionTimestamp: at(0) } };
    const plan = decideMigration(seen(begun, deleted, { sourcePod: undefined }), NOW);
    expect(effects(plan)).toEqual(['CreateRestoreRequest']);
  });

  it('loses its target before it is restored', () => {
    const plan = decideMigration(seen({}, asked, { targetPod: target('request-uid') }), NOW);
    expect(effects(plan)).toEqual(['DeleteTarget']);
    expect(plan.status?.recovery).toBeUndefined();
  });

  it('is lost whatever the migration was aborted for', () => {
    const plan = decideMigration(seen({ decision: decision('Aborted', 'RestoreFailed') }), NOW);
    expect(effects(plan)).toEqual(['DeleteLostSource']);
    const fail = decideMigration(seen({ decision: decision('Aborted', 'Cancelled') }, {}), NOW);
    expect(summary(fail)).toBe('False SourceLost');
    expect(message(fail)).toMatch(/Aborted: because of Cancelled/);
  });

  it.each<[string, object, Partial<Observed>]>([
    ['deleted by a user', { decision: decision('Aborted', 'SourceGone') }, {}],
    [
      'completed',
      { decision: decision('Aborted', 'Cancelled') },
      { sourcePod: pod({ status: { phase: 'Succeeded' } }) },
    ],
    [
      'completed, though its agent has reported it as lost',
      {},
      { sourcePod: pod({ status: { phase: 'Succeeded' } }) },
    ],
    [
      'running again',
      { decision: decision('Aborted', 'X'), sourceAgent: { state: 'Resumed' } },
      {},
    ],
  ])('is not a source that was %s', (_name, status, pods) => {
    const plan = decideMigration(seen(status, asked, pods), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(summary(plan)).not.toContain('SourceLost');
  });

  it('is not one that has completed, though its agent has reported so: PodCompleted', () => {
    const completed = pod({ status: { phase: 'Succeeded' } });
    const plan = decideMigration(seen({}, asked, { sourcePod: completed }), NOW);
    expect(effects(plan)).toEqual(['RemoveFinalizer']);
    expect(summary(plan)).toBe('False PodCompleted');
    expect(message(plan)).toMatch(/has completed/);
    expect(conditionsOf(plan.status?.conditions)['Committed']).toBe('False PodCompleted');
  });

  it('is not deleted before its kubelet could report that it has completed', () => {
    const once = { spec: { restartPolicy: 'OnFailure' } };
    const first = seen({}, asked, { sourcePod: pod(once) });
    const plan = decideMigration(first, NOW);
    expect([plan.effects, plan.requeueAfterMs]).toEqual([[], completionGraceMs + 1]);
    expect(summary(plan)).toBe('Unknown SourceLost');
    const next = published(first, plan);
    const completed = pod({ ...once, status: { phase: 'Succeeded' } });
    const end = decideMigration({ ...next, sourcePod: completed }, NOW + 1000);
    expect(effects(end)).toEqual(['RemoveFinalizer']);
    expect(summary(end)).toBe('False PodCompleted');
    const lostAfterAll = decideMigration(next, NOW + completionGraceMs + 1);
    expect(effects(lostAfterAll)).toEqual(['DeleteLostSource']);
    const failedPod = pod({ ...once, status: { phase: 'Failed' } });
    const failed = decideMigration({ ...next, sourcePod: failedPod }, NOW + 1000);
    expect(effects(failed)).toEqual(['DeleteLostSource']);
  });

  it('gets a longer grace if it is to be restored: a reset node boots first', () => {
    const decided = decision('Aborted', 'BlackoutDeadlineExceeded');
    const silent = { decision: decided, sourceAgent: { state: 'Dumping' } };
    const first = seen(silent);
    const next = published(first, decideMigration(first, NOW));
    const plan = decideMigration(next, NOW + abortConfirmationMs + sourceLossGraceMs);
    expect(plan.effects).toEqual([]);
    expect(summary(plan)).toBe('Unknown BlackoutDeadlineExceeded');
    const late = decideMigration(next, NOW + abortConfirmationMs + sourceLossGraceMs + 1);
    expect(summary(late)).toBe('False BlackoutDeadlineExceeded');
    expect(message(late)).toMatch(/Node a has not confirmed/);
    const said = { ...next.request.status, sourceAgent: lost };
    const back = { ...next, request: { ...next.request, status: said } } as Observed;
    expect(effects(decideMigration(back, NOW + 200_000))).toEqual(['DeleteLostSource']);
  });

  it('is not restored if its node does not delete it', () => {
    const first = seen(begun);
    const next = published(first, decideMigration(first, NOW));
    const late = decideMigration(next, NOW + abortConfirmationMs + sourceLossGraceMs + 1);
    expect(effects(late)).toEqual(['RemoveFinalizer']);
    expect(message(late)).toMatch(/could not be deleted on node a/);
    expect(late.status?.recovery?.restoreRequestName).toBeUndefined();
  });
});

describe('the RestoreRequest’s name', () => {
  it('is valid, and unique to the request', () => {
    const uid = '11111111-2222-4222-8222-333333333333';
    expect(restoreName({ name: 'move', uid })).toBe('move-restore-11111111');
    const long = restoreName({ name: `${'x'.repeat(45)}-${'y'.repeat(17)}`, uid });
    expect(long).toBe(`${'x'.repeat(45)}-restore-11111111`);
    expect(long.length).toBeLessThanOrEqual(63);
  });
});
