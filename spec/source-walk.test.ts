// SPDX-License-Identifier: Apache-2.0
// One move through the real reconciler of the source: the journal's stage as each effect begins, the states that are
// published, in the order of the table, and the fault points and steps of the report that each effect passes.
import { expect, it } from 'vitest';
import { SourceReconciler } from '../node-agent/src/reconcilers/source/reconciler.ts';
import { REQUEST_UID } from '../node-agent/src/testing/objects.ts';
import {
  api,
  decide,
  journal,
  put,
  run,
  runs,
  stage,
  sourceNode,
} from '../node-agent/src/testing/source-agent.ts';
import { passCheckpointer, Passing } from './passing.ts';
import { rowsOf } from './protocol.ts';
import { both, type Row } from './steps/row.ts';

const rows = rowsOf('MigrationRequest').filter((row) => row.by === 'source agent');
const rowOf = (effect: Row['effect'], after?: string) =>
  rows.find((row) => row.effect === effect && (!after || both(row.stage).at(-1) === after));

/** What the node is asked to do, by the effect that asks. */
const calls = {
  lockNetwork: 'LockNetwork',
  holdDevice: 'HoldDevice',
  freezeTasks: 'FreezeTasks',
  dumpContainers: 'DumpContainers',
  stopPod: 'StopSource',
} as const;

/** Records what each effect passes. */
function watchEffects(): Passing {
  passCheckpointer(sourceNode.checkpointer);
  const passing = new Passing(() => journal.get(REQUEST_UID, 'source'));
  passing.watchAct(SourceReconciler.prototype);
  return passing;
}

/** Records the journal's stage at each call. */
function watch(): [string, string | undefined][] {
  const seen: [string, string | undefined][] = [];
  const node = sourceNode.checkpointer as unknown as Record<string, (...all: unknown[]) => unknown>;
  for (const [name, effect] of Object.entries(calls)) {
    const work = node[name]?.bind(node);
    node[name] = (...all) => {
      seen.push([effect, stage()]);
      return work?.(...all);
    };
  }
  return seen;
}

/** The states of the source in the order in which they were published, repetitions left out. */
function published(): string[] {
  const states = api.writes.flatMap(({ fields }) => {
    const { status } = fields as { status?: { sourceAgent?: { state: string } } };
    return status?.sourceAgent?.state ?? [];
  });
  return states.filter((state, at) => state !== states[at - 1]);
}

const expected = (effects: readonly Row['effect'][]): [string, string | undefined][] =>
  effects.map((effect) => [effect ?? '', both(rowOf(effect)?.stage)[0]]);
const states = (effects: readonly Row['effect'][]): string[] => {
  const all = effects.flatMap((effect) => both<string>(rowOf(effect)?.state));
  return all.filter((state, at) => state !== all[at - 1]);
};

const before = [
  ...(['LockNetwork', 'HoldDevice', 'FreezeTasks', 'DumpContainers', 'SendImages'] as const),
] as const;

it('a source that is stopped passes the table’s stages and states', async () => {
  const seen = watch();
  const passing = watchEffects();
  put();
  await run();
  expect(stage()).toBe(both(rowOf('SendImages')?.stage)[1]);
  decide('Committed');
  await runs();
  expect(seen).toEqual(expected([...before.slice(0, 4), 'StopSource']));
  expect(stage()).toBe(both(rowOf('StopSource')?.stage)[1]);
  expect(published()).toEqual(states([...before, 'AwaitTargetAnswering', 'StopSource']));
  passing.expect([...before, 'StopSource' as const].flatMap((effect) => rowOf(effect) ?? []));
});

it('a source that is resumed ends as the table says', async () => {
  const passing = watchEffects();
  put();
  await run();
  decide('Aborted');
  await runs();
  expect(stage()).toBe(both(rowOf('ResumeSource', 'Resumed')?.stage)[0]);
  expect(published()).toEqual(states([...before, 'ResumeSource']));
  passing.expect([...before, 'ResumeSource' as const].flatMap((effect) => rowOf(effect) ?? []));
});

it('a source that is lost ends as the table says', async () => {
  put();
  await run();
  sourceNode.gone = true;
  const passing = watchEffects();
  decide('Aborted');
  await run().catch(() => undefined);
  expect(stage()).toBe(both(rowOf('ResumeSource', 'Lost')?.stage)[0]);
  await runs();
  expect(stage()).toBe(both(rowOf('AllowRestart')?.stage)[0]);
  passing.expect([rowOf('ResumeSource', 'Lost') ?? [], rowOf('AllowRestart') ?? []].flat());
  expect(published().at(-1)).toBe('Lost');
});
