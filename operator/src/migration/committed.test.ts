// SPDX-License-Identifier: Apache-2.0
// The specification of the MigrationRequest controller after the decision `Committed`, as tables.
import { describe, expect, it } from 'vitest';
import { labels, podConditions } from '../../../crds/src/index.ts';
import { effects, message, published, see, summary } from '../../testing/migration.ts';
import {
  accepted,
  at,
  conditionsOf,
  container,
  decision,
  NOW,
  pod,
  target,
} from '../../testing/objects.ts';
import { commitConfirmationMs, lastLookMs } from '../requests/deadlines.ts';
import { decideMigration } from './decide.ts';
import type { Observed } from './types.ts';

describe('Committed', () => {
  const status = {
    deadlines: { prepare: at(300), blackout: at(100) },
    sourceAgent: { state: 'Sent' },
    targetAgent: { state: 'AtResumeGate' },
    decision: decision('Committed'),
  };
  const running = { ...status, targetAgent: { state: 'Running' } };
  /** The target was seen running before, and the time of the last look has come. */
  const looked = { ...running, deadlines: { ...status.deadlines, lastLook: at(0) } };
  const allowed = target('request-uid', { metadata: { labels: { app: 'x' } } });
  const seen = (parts: object, pods: Partial<Observed> = {}): Observed =>
    see({
      request: accepted({ ...status, ...parts }),
      sourcePod: undefined,
      targetPod: allowed,
      ...pods,
    });

  it('lets Services select the target before it deletes the source', () => {
    const parts = { sourceAgent: { state: 'Gone' } };
    const pods = { sourcePod: pod(), targetPod: target('request-uid') };
    const plan = decideMigration(seen(parts, pods), NOW);
    expect(plan.effects).toEqual([
      { type: 'AllowTraffic' },
      { type: 'DeleteSource', uid: 'pod-uid' },
    ]);
    expect(plan.status?.phase).toBe('Resuming');
  });

  it.each<[string, object, object, string[]]>([
    ['lacks the condition, whoever took its label', { status: 'False' }, {}, ['AllowTraffic']],
    ['has a condition that nobody knows', { status: 'Unknown' }, {}, ['AllowTraffic']],
    [
      'has the condition, and its label',
      { status: 'True' },
      { [labels.role]: 'target' },
      ['AllowTraffic'],
    ],
    ['has the condition, and no label', { status: 'True' }, {}, []],
  ])('lets Services select a target that %s', (_what, condition, role, wanted) => {
    const conditions =
      'status' in condition ? [{ type: podConditions.committed, ...condition }] : [];
    const metadata = { labels: { app: 'x', ...role } };
    const targetPod = target('request-uid', { metadata, status: { conditions } });
    expect(effects(decideMigration(seen(running, { targetPod }), NOW))).toEqual(wanted);
  });

  it('lets Services select a target without any condition', () => {
    const { status: was, ...rest } = allowed;
    const targetPod = { ...rest, status: { ...was, conditions: [] } };
    expect(effects(decideMigration(seen(running, { targetPod }), NOW))).toEqual(['AllowTraffic']);
  });

  it.each<[string, object, number, string[]]>([
    ['answers its peers alone', {}, 0, []],
    ['answers its peers beside the target', { targetAgent: { state: 'Answering' } }, 0, []],
    ['is silent', { sourceAgent: { state: 'Gone' } }, 0, ['DeleteSource']],
    [
      'has reported nothing, and the target runs',
      { targetAgent: { state: 'Running' } },
      0,
      ['DeleteSource'],
    ],
    [
      'has reported nothing, and the target is lost',
      { targetAgent: { state: 'Failed' } },
      0,
      ['DeleteSource'],
    ],
    ['has reported nothing, nor has the target', {}, commitConfirmationMs + 1, ['DeleteSource']],
  ])(
    'deletes the source once it no longer answers its peers: it %s',
    (_name, parts, later, wanted) => {
      const observed = seen(parts, { sourcePod: pod() });
      const next = published(observed, decideMigration(observed, NOW));
      expect(effects(decideMigration(next, NOW + later))).toEqual(wanted);
    },
  );

  it('does not wait for ever for a source that a finalizer of others keeps', () => {
    const metadata = { deletionTimestamp: at(0), finalizers: ['example.com/keep'] };
    const plan = decideMigration(seen(looked, { sourcePod: pod({ metadata }) }), NOW);
    expect(summary(plan)).toBe('True Moved');
    expect(message(plan)).toMatch(/Pod p is deleted, but .*: example\.com\/keep\./);
  });

  it('stands, whatever the user asks for afterwards', () => {
    const gone = { ...status, sourceAgent: { state: 'Gone' } };
    const request = accepted(gone, {
      spec: { cancel: true },
      metadata: { deletionTimestamp: at(0) },
    });
    const plan = decideMigration(seen({}, { request, sourcePod: pod() }), NOW + 1e9);
    expect(effects(plan)).toEqual(['DeleteSource']);
  });

  it('does not delete another pod of the source’s name', () => {
    const plan = decideMigration(
      seen(running, { sourcePod: pod({ metadata: { uid: 'new' } }) }),
      NOW,
    );
    expect(effects(plan)).not.toContain('DeleteSource');
  });

  it('looks once more at a target that runs before it says so', () => {
    const observed = seen(running);
    const first = decideMigration(observed, NOW);
    expect(first).toMatchObject({ effects: [], requeueAfterMs: lastLookMs });
    expect(first.status?.deadlines?.lastLook).toBe(at(lastLookMs / 1000));
    expect(summary(first)).toBe('Unknown Committed');
    const next = published(observed, first);
    const early = decideMigration(next, NOW + lastLookMs - 1);
    expect(early).toMatchObject({ effects: [], requeueAfterMs: 1 });
    expect(summary(decideMigration(next, NOW + lastLookMs))).toBe('True Moved');
  });

  it('says so when the target has done its work before the last look', () => {
    const targetPod = target('request-uid', {
      metadata: { labels: { app: 'x' } },
      status: { phase: 'Succeeded' },
    });
    const plan = decideMigration(seen(looked, { targetPod }), NOW);
    expect(summary(plan)).toBe('True Moved');
    expect(message(plan)).toMatch(/The pod has ended there since, in phase Succeeded\.$/);
  });

  it('fails when what was moved has ended and was started afresh', () => {
    const steps = [{ name: 'resume', startTime: at(1), endTime: at(20) }];
    const targetAgent = { state: 'Running', steps, resumedAt: at(2) };
    const lastState = { terminated: { exitCode: 139, finishedAt: at(3) } };
    const containerStatuses = [container({ running: {} }, { restartCount: 1, lastState })];
    const targetPod = target('request-uid', {
      metadata: { labels: { app: 'x' } },
      status: { phase: 'Running', containerStatuses },
    });
    const plan = decideMigration(seen({ targetAgent }, { targetPod }), NOW);
    expect(summary(plan)).toBe('False TargetRestarted');
    expect(effects(plan)).toEqual(['ReleaseTarget', 'RemoveFinalizer']);
    expect(message(plan)).toMatch(
      /p-reque .* main ended with exit code 139 .*--previous p-reque.*kubectl get creq/,
    );
  });

  it('succeeds when the target runs, detaches it, and every condition is True', () => {
    const plan = decideMigration(seen(looked), NOW + 20_000);
    expect(effects(plan)).toEqual(['ReleaseTarget', 'RemoveFinalizer']);
    expect(plan.status).toMatchObject({ phase: 'Succeeded', completionTime: at(20) });
    expect(conditionsOf(plan.status?.conditions)).toEqual({
      Validated: 'True Moved',
      TargetReady: 'True AtCreateGate',
      Quiesced: 'True Held',
      Checkpointed: 'True ImagesWritten',
      Restored: 'True AtResumeGate',
      Committed: 'True Committed',
      Failed: 'False Moved',
      Succeeded: 'True Moved',
    });
  });

  it('leaves no condition False when the source’s last report is missing', () => {
    const plan = decideMigration(seen({ ...looked, sourceAgent: { state: 'Holding' } }), NOW);
    const { Failed: _opposite, ...others } = conditionsOf(plan.status?.conditions);
    expect(Object.values(others).filter((one) => !one.startsWith('True'))).toEqual([]);
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
  ])('fails with TargetLost when the target was %s', (_name, parts, pods) => {
    const plan = decideMigration(seen(parts, pods), NOW);
    expect(summary(plan)).toBe('False TargetLost');
    expect(message(plan)).toMatch(/checkpoint of pod p that has succeeded.*a RestoreRequest/);
    expect(plan.status?.phase).toBe('Failed');
  });
});
