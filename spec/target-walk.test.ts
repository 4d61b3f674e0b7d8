// SPDX-License-Identifier: Apache-2.0
// One move through the real reconciler of the target: stages and states in the order of the table.
import { expect, it } from 'vitest';
import {
  api,
  create,
  images,
  node,
  put,
  receive,
  record,
  resumeGate,
  run,
  runs,
  stage,
  toResumeGate,
} from '../node-agent/src/testing/target-agent.ts';
import { rowsOf } from './protocol.ts';
import { both, type Row } from './steps/row.ts';

const rows = rowsOf('MigrationRequest').filter((row) => row.by === 'target agent');
const rowOf = (effect: Row['effect'], state?: string) =>
  rows.find((row) => row.effect === effect && (!state || both<string>(row.state).includes(state)));
const stageOf = (effect: Row['effect'], at: 0 | -1 = 0) => both(rowOf(effect)?.stage).at(at);

/** The states of the target in the order in which they were published, repetitions left out. */
function published(): string[] {
  const states = api.writes.flatMap(({ fields }) => {
    const { status } = fields as { status?: { targetAgent?: { state: string } } };
    return status?.targetAgent?.state ?? [];
  });
  return states.filter((state, at) => state !== states[at - 1]);
}
const waiting = ['Preparing', 'AtCreateGate', 'Receiving'].map((state) => {
  const row = rowOf(undefined, state);
  expect(row, state).toBeDefined();
  return state;
});
const states = (...effects: Row['effect'][]): string[] => {
  const all = effects.flatMap((effect) => both<string>(rowOf(effect)?.state));
  return all.filter((state, at) => state !== all[at - 1]);
};

it('a target that runs passes the table’s stages and states', async () => {
  const stages: Record<string, string | undefined> = {};
  const { restorer } = node as unknown as { restorer: Record<string, () => Promise<unknown>> };
  for (const name of ['prepareRestore', 'answerPeers', 'resumePod']) {
    const work = restorer[name] as (...all: unknown[]) => Promise<unknown>;
    restorer[name] = (...all: unknown[]) => {
      stages[name] = stage();
      return work(...all);
    };
  }
  put();
  await run();
  const created = create();
  await run();
  receive(true);
  await run();
  receive(false);
  await images();
  await run();
  expect(await created).toBe('restore');
  const gate = resumeGate();
  await runs();
  await gate;
  expect(stages).toEqual({
    prepareRestore: stageOf('StartRestore'),
    answerPeers: stageOf('AnswerPeers'),
    resumePod: stageOf('ResumeTarget'),
  });
  expect(stage()).toBe(stageOf('ResumeTarget', -1));
  expect(published()).toEqual([
    ...waiting,
    ...states('StartRestore', 'ProposeCommit', 'AnswerPeers', 'OpenResumeGates'),
  ]);
});

it('a target that is torn down ends as the table says', async () => {
  const { gate } = await toResumeGate();
  record('Aborted');
  await runs();
  await gate;
  expect(stage()).toBe(stageOf('TearDownTarget'));
  expect(published().at(-1)).toBe(both(rowOf('TearDownTarget')?.state)[0]);
});
