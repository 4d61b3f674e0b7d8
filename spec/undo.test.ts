// SPDX-License-Identifier: Apache-2.0
// The column "undone by": what it names is what agents and operator plan once the step is done and the request fails,
// and every step that leaves something behind has it.
import { describe, expect, it } from 'vitest';
import { decideCheckpoint } from '../node-agent/src/reconcilers/checkpoint/decide.ts';
import { decideSource } from '../node-agent/src/reconcilers/source/decide.ts';
import { decideTarget } from '../node-agent/src/reconcilers/target/decide.ts';
import { decideCheckpoint as operatorDecidesCheckpoint } from '../operator/src/checkpoint/decide.ts';
import { decideMigration } from '../operator/src/migration/decide.ts';
import { decideRestore } from '../operator/src/restore/decide.ts';
import * as seen from './observe.ts';
import { both, type Given, type Kind, type Row } from './steps/row.ts';

const all = seen.namedRows;
const undone = all.filter(([, , row]) => row.undoneBy !== undefined);

interface Effects {
  readonly effects: readonly { readonly type: string }[];
}
const names = (...plans: Effects[]): string[] =>
  plans.flatMap(({ effects }) => effects.map(({ type }) => type));

const failure = { code: 'DumpFailed', message: 'the dump failed' };

/** What the operator plans for a request of this kind that is cancelled. */
function operatorPlans(kind: Kind, row: Row): Effects {
  const given: Given = {
    request: 'deleted',
    decision: ['Aborted', 'Cancelled'],
    target: 'TornDown',
    ...(row.effect === 'AddFinalizer' ? { targetPod: 'absent' } : {}),
    ...(row.effect === 'AttachTarget' ? { controller: 'BeforeHold', member: 'both' } : {}),
    ...(row.effect === 'DetachSource' ? { controller: 'BeforeHold', member: 'target' } : {}),
  };
  const by = 'operator';
  const step = row.step;
  switch (kind) {
    case 'MigrationRequest':
      return decideMigration(
        seen.migrationOf({ by, step, given: { ...given, source: 'Resumed' } }),
        seen.NOW,
      );
    case 'RestoreRequest':
      return decideRestore(seen.restoreOf({ by, step, given }), seen.NOW);
    case 'CheckpointRequest': {
      const removed: Given = { request: 'deleted', checkpoint: 'Removed' };
      return operatorDecidesCheckpoint(seen.checkpointOf({ by, step, given: removed }), seen.NOW);
    }
  }
}

/** What is planned once the row's step is done and the request fails. */
function plannedAfter(kind: Kind, row: Row): string[] {
  const operator = operatorPlans(kind, row);
  const aborted = { decision: 'Aborted', create: 'waiting' } as const;
  switch (row.by) {
    case 'operator':
      return names(operator);
    case 'image sender':
      return names(decideTarget({ ...seen.target, ...aborted, stage: 'Preparing' }, seen.NOW));
    case 'source agent': {
      const stage = both(row.stage)[0];
      const source = decideSource({ ...seen.source, decision: 'Aborted', stage }, seen.NOW);
      const target = decideTarget({ ...seen.target, ...aborted, stage: 'Preparing' }, seen.NOW);
      return names(source, target);
    }
    case 'target agent': {
      const stage = both(row.stage)[0];
      if (!row.given?.decision) {
        return names(operator, decideTarget({ ...seen.target, ...aborted, stage }, seen.NOW));
      }
      const again = { decision: 'Committed', create: 'waiting', images: 'complete' } as const;
      return names(decideTarget({ ...seen.target, ...again, stage, failure }, seen.NOW));
    }
    case 'checkpoint agent': {
      const stage = both(row.stage).at(-1);
      // What is stored has not failed: the request is deleted.
      const end = stage === 'Stored' ? { deleting: true } : { failure };
      return names(decideCheckpoint({ ...seen.checkpoint, stage, ...end }, seen.NOW));
    }
  }
}

describe('what a row says undoes it is planned after the failure', () => {
  it.each(undone)('%s, %s', (kind, _name, row) => {
    expect(plannedAfter(kind, row)).toContain(row.undoneBy);
  });
});

/** What leaves nothing behind, or ends in what is meant to stay. */
const final: readonly Row['effect'][] = [
  ...(['RecordPeerDeadline', 'ProposeCommit', 'ProposeAbort'] as const),
  ...(['ResumeSource', 'AllowRestart', 'TearDownTarget', 'ResumePod'] as const),
];
/** After Committed only what a target has not done for good. */
const repeated: readonly Row['effect'][] = ['AnswerPeers'];

/** By the operator, before the decision. */
const begun: readonly Row['effect'][] = [
  ...(['AddFinalizer', 'CreateTarget', 'AttachTarget', 'DetachSource'] as const),
];

/** Whether the step leaves something behind that a failure must undo. */
function leavesSomething(row: Row): boolean {
  if (row.by === 'operator') return !row.given?.decision && begun.includes(row.effect);
  if (row.given?.decision) return repeated.includes(row.effect);
  if (row.by === 'image sender') return row.effect === 'SendImages';
  // A checkpoint's pod runs again.
  const isResumed = row.by === 'checkpoint agent' && row.report?.includes('resume');
  return row.stage !== undefined && !final.includes(row.effect) && !isResumed;
}

it.each(all)('a step of a %s that leaves something behind is undone: %s', (_kind, _name, row) => {
  expect(row.undoneBy !== undefined).toBe(leavesSomething(row));
});

const untilDumped = ['Locking', 'Holding', 'Freezing', 'Dumping'];
const paused = all.filter(
  ([, , row]) =>
    row.by === 'source agent' && both(row.stage).some((stage) => untilDumped.includes(stage)),
);

it.each(paused)('a paused source of a %s is resumed: %s', (_kind, _name, row) => {
  expect(row.undoneBy).toBe('ResumeSource');
});

it('a source is paused in each of its stages', () => {
  expect(paused.flatMap(([, , row]) => (row.by === 'operator' ? [] : both(row.stage)))).toEqual(
    untilDumped,
  );
});
