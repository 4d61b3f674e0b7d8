// SPDX-License-Identifier: Apache-2.0
// The table against the code: nothing is left out of it, and operator and agents do what each row says.
import { describe, expect, it } from 'vitest';
import {
  CheckpointState,
  conditionTypes,
  MigrationPhase,
  occasionalConditionTypes,
  reasons,
  RestorePhase,
  CheckpointPhase,
  SourceState,
  StepName,
  TargetState,
  type Condition,
} from '../crds/src/index.ts';
import {
  decideCheckpoint,
  type CheckpointEffect,
} from '../node-agent/src/reconcilers/checkpoint/decide.ts';
import { decideImageSender } from '../node-agent/src/reconcilers/image-sender/reconciler.ts';
import { decideSource, type SourceEffect } from '../node-agent/src/reconcilers/source/decide.ts';
import { decideTarget, type TargetEffect } from '../node-agent/src/reconcilers/target/decide.ts';
import { stage as stages } from '../node-agent/src/support/journal/journal.ts';
import { decideCheckpoint as operatorDecidesCheckpoint } from '../operator/src/checkpoint/decide.ts';
import { decideMigration } from '../operator/src/migration/decide.ts';
import { decideRestore } from '../operator/src/restore/decide.ts';
import * as seen from './observe.ts';
import { isStale } from './protocol-table.ts';
import { protocol, rowsOf } from './protocol.ts';
import { read } from './repository.ts';
import { both, type AnyEffect, type Kind, type Kinds, type Row } from './steps/row.ts';

const sorted = (names: Iterable<string>): string[] => [...new Set(names)].sort();
const matches = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map((match) => match[1] ?? '');

const rows = protocol.flatMap(({ rows: all }): readonly Row[] => all);
const agentRows = rows.filter((row) => row.by !== 'operator');

/** tsc refuses a list that leaves one out. */
type Listed<Name extends string> = Record<Name, true>;
const sourceEffects: Listed<SourceEffect['type']> = {
  ListFindings: true,
  ...({ InspectPod: true, LockNetwork: true, HoldDevice: true, FreezeTasks: true } as const),
  ...({ DumpContainers: true, SendImages: true, ProposeAbort: true, ResumeSource: true } as const),
  ...({ AllowRestart: true, AwaitTargetAnswering: true, StopSource: true } as const),
};
const targetEffects: Listed<TargetEffect['type']> = {
  PlaceAddresses: true,
  ...({ StartRestore: true, RecordPeerDeadline: true, ProposeCommit: true } as const),
  ...({ ProposeAbort: true, AnswerPeers: true } as const),
  ...({ ResumeTarget: true, ResumeRemaining: true } as const),
  ...({ TearDownTarget: true, KeepDiagnostics: true, RemoveImages: true } as const),
};
const checkpointEffects: Listed<CheckpointEffect['type']> = {
  TakeCheckpoint: true,
  ResumePod: true,
  RemoveImages: true,
};
const finalizer = { AddFinalizer: true, RemoveFinalizer: true } as const;
const operatorEffects: { [K in Kind]: Listed<Kinds[K]['operatorEffect']> } = {
  MigrationRequest: {
    ...finalizer,
    ...({ CreateTarget: true, AllowTraffic: true, ReleaseTarget: true } as const),
    ...({ AttachTarget: true, DetachTarget: true, RetireSource: true } as const),
    ...({ AttachSource: true, DetachSource: true, EndSource: true } as const),
    ...({ DeleteSource: true, DeleteLostSource: true, CreateRestoreRequest: true } as const),
    ...({ DeleteTarget: true, ProposeAbort: true, DeleteRequest: true } as const),
    ...({ CreateSecondMove: true, ReleaseLanding: true, DeleteLanding: true } as const),
  },
  RestoreRequest: {
    ...finalizer,
    ...({ CreateTarget: true, AllowTraffic: true, ReleaseTarget: true } as const),
    ...({ DeleteTarget: true, ProposeAbort: true, DeleteRequest: true } as const),
  },
  CheckpointRequest: { ...finalizer, DeleteRequest: true },
};

const effectsOf = (by: Row['by'], of: readonly Row[] = rows): string[] =>
  sorted(of.filter((row) => row.by === by).flatMap(({ effect }) => effect ?? []));
const statesOf = (...by: Row['by'][]): string[] =>
  sorted(agentRows.filter((row) => by.includes(row.by)).flatMap((row) => both<string>(row.state)));

describe('the table has every', () => {
  it('journal stage', () => {
    expect(sorted(agentRows.flatMap((row) => both(row.stage)))).toEqual(sorted(stages.options));
  });

  it('state of an agent', () => {
    expect(statesOf('source agent')).toEqual(sorted(SourceState.options));
    expect(statesOf('target agent')).toEqual(sorted(TargetState.options));
    expect(statesOf('checkpoint agent')).toEqual(sorted(CheckpointState.options));
  });

  it('step of the report', () => {
    expect(sorted(rows.flatMap(({ report }) => report ?? []))).toEqual(sorted(StepName.options));
  });

  it.each([
    ['MigrationRequest', MigrationPhase.options],
    ['RestoreRequest', RestorePhase.options],
    ['CheckpointRequest', CheckpointPhase.options],
  ] as const)('phase, condition and effect of the operator of a %s', (kind, phases) => {
    const own: readonly Row[] = rowsOf(kind);
    expect(sorted(own.flatMap(({ phase }) => phase ?? []))).toEqual(sorted(phases));
    const types = own.flatMap(({ condition }) => condition?.[0] ?? []);
    const possible = [...conditionTypes[kind], ...occasionalConditionTypes[kind]];
    expect(sorted(types)).toEqual(sorted(possible));
    expect(effectsOf('operator', own)).toEqual(sorted(Object.keys(operatorEffects[kind])));
  });

  it('reason of progress', () => {
    const all = Object.keys(reasons);
    const progress = all.slice(0, all.indexOf('Committed') + 1);
    const named: readonly string[] = rows.flatMap(({ condition }) => condition?.[2] ?? []);
    expect(progress.filter((reason) => !named.includes(reason))).toEqual([]);
  });

  it('effect of an agent', () => {
    expect(effectsOf('source agent')).toEqual(sorted(Object.keys(sourceEffects)));
    expect(effectsOf('target agent')).toEqual(sorted(Object.keys(targetEffects)));
    expect(effectsOf('checkpoint agent')).toEqual(sorted(Object.keys(checkpointEffects)));
  });

  it('fault point of a step, and none that does not exist', () => {
    const listed = matches(read('docs/faults.md'), /^\| `([a-z]+\.[a-zA-Z_-]+)` \|/gm);
    const named = sorted(rows.flatMap(({ faults }) => faults ?? []));
    expect(named.filter((name) => !listed.includes(name))).toEqual([]);
    // Those of the agents' start, of the orphan sweep, of evictions and of what only the driver's tests call are no step's.
    const ofNoStep =
      /^(install|node|orphans|create|addresses)\.|^(driver\.list|operator\.create-evacuation)$/;
    const left = listed.filter((name) => !named.includes(name) && !ofNoStep.test(name));
    expect(left).toEqual([]);
  });

  it('labelled transition of the model, and none that does not exist', () => {
    const labels = matches(read('spec/handover.pml'), /\[((?:source|target|operator)\.\w+)\]/g);
    const example = 'source.LockNetwork';
    expect(labels.filter((label) => label !== example)).toHaveLength(new Set(labels).size - 1);
    expect(sorted(rows.flatMap(({ model }) => model ?? []))).toEqual(sorted(labels));
  });
});

it('docs/protocol.md is what the table says', () => {
  expect(isStale()).toBe(false);
});

/** What an agent plans for a row: its effects, and the state that it publishes when all of them are done. */
function planOf(row: Row): { effects: AnyEffect[]; state: string | undefined } | undefined {
  if (row.by === 'operator') return undefined;
  const found = row.found === 'none' ? undefined : (row.found ?? both(row.stage)[0]);
  const decision = row.given?.decision?.[0];
  const plan =
    row.by === 'source agent'
      ? decideSource(
          {
            ...seen.source,
            ...{ decision, stage: found, targetState: row.given?.target },
            ...row.observed,
          },
          seen.NOW,
        )
      : row.by === 'target agent'
        ? decideTarget({ ...seen.target, decision, stage: found, ...row.observed }, seen.NOW)
        : row.by === 'checkpoint agent'
          ? decideCheckpoint({ ...seen.checkpoint, stage: found, ...row.observed }, seen.NOW)
          : decideImageSender(
              { ...seen.sender, targetState: row.given?.target, ...row.observed },
              seen.NOW,
            );
  return { effects: plan.effects.map((one) => one.type), state: plan.status?.state };
}

describe('an agent does what the row says', () => {
  it.each(agentRows.map((row) => [seen.nameOf(row), row] as const))('%s', (_name, row) => {
    const plan = planOf(row);
    expect(plan?.effects[0]).toBe(row.effect);
    const last = both(row.stage).at(-1);
    // A state that is published before the plan is done is progress: source-walk.test.ts and target-walk.test.ts look at that.
    const isPart = row.effect === 'TakeCheckpoint' && last !== 'Stored';
    if (isPart || (plan?.effects.length ?? 0) > 1) return;
    const ended = last === 'Running' || last === 'TornDown' || last === 'Lost' ? last : undefined;
    expect(ended ?? plan?.state).toBe(both<string>(row.state).at(-1));
  });
});

/** Type, status and reason of the condition that the row names. */
function conditionIn(conditions: readonly Condition[] | undefined, row: Row): unknown {
  const found = conditions?.find((one) => one.type === row.condition?.[0]);
  return found && [found.type, found.status, found.reason];
}

describe('the operator shows what the row says', () => {
  const plans = {
    MigrationRequest: rowsOf('MigrationRequest').map(
      (row) => [row, decideMigration(seen.migrationOf(row), seen.NOW)] as const,
    ),
    RestoreRequest: rowsOf('RestoreRequest').map(
      (row) => [row, decideRestore(seen.restoreOf(row), seen.NOW)] as const,
    ),
    CheckpointRequest: rowsOf('CheckpointRequest').map(
      (row) => [row, operatorDecidesCheckpoint(seen.checkpointOf(row), seen.NOW)] as const,
    ),
  };
  const all = Object.entries(plans).flatMap(([kind, of]) =>
    of.map(([row, plan]) => [kind, seen.nameOf(row), row, plan] as const),
  );

  it.each(all)('%s, %s', (_kind, _name, row, plan) => {
    expect(row.phase).toBe(plan.status?.phase);
    const conditions = plan.status?.conditions ?? [];
    // Of those that the operator shows, a row names one.
    if (conditions.length > 0) expect(row.condition).toBeDefined();
    expect(conditionIn(conditions, row)).toEqual(row.condition);
    if (row.by === 'operator') {
      const effects: readonly string[] = plan.effects.map((one) => one.type);
      if (row.effect) expect(effects).toContain(row.effect);
      else expect(effects).toEqual([]);
    }
  });
});
