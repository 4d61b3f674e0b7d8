// SPDX-License-Identifier: Apache-2.0
// One move through the real reconciler of the target: stages and states in the order of the table, and the fault points
// and steps of the report that each effect passes.
import { expect, it, vi } from 'vitest';
import type { MigrationRequest } from '../crds/src/index.ts';
import { migrationRequests } from '../kube/src/index.ts';
import { ContainerRestore } from '../node-agent/src/reconcilers/target/container-restore.ts';
import { TargetDecision } from '../node-agent/src/reconcilers/target/decision.ts';
import { recordPreparation } from '../node-agent/src/reconcilers/target/journal-entry.ts';
import { TargetReconciler } from '../node-agent/src/reconcilers/target/reconciler.ts';
import { TargetResume } from '../node-agent/src/reconcilers/target/resume.ts';
import { microTimestamp } from '../node-agent/src/support/step-times.ts';
import { NAMESPACE, REQUEST_UID } from '../node-agent/src/testing/objects.ts';
import {
  api,
  create,
  images,
  journal,
  node,
  put,
  receive,
  record,
  resumeGate,
  run,
  runs,
  stage,
  target,
  toResumeGate,
} from '../node-agent/src/testing/target-agent.ts';
import { passRestorer, Passing } from './passing.ts';
import { rowsOf } from './protocol.ts';
import { both, type Row } from './steps/row.ts';

// The namespace of the test has no sockets.
vi.mock('../native/addon/index.ts', async (original) => ({
  ...(await original<object>()),
  endTcpOrphans: () => Promise.resolve(0),
}));

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

/** Records what each effect passes. One run that proposes the decision continues with what follows from it. */
function watchEffects(): Passing {
  passRestorer((node as unknown as { restorer: object }).restorer);
  const passing = new Passing(() => journal.get(REQUEST_UID, 'target'));
  passing.watchAct(TargetReconciler.prototype, ['ProposeCommit']);
  passing.watch(ContainerRestore.prototype, 'startAll', 'StartRestore');
  passing.watch(TargetDecision.prototype, 'commit', 'ProposeCommit');
  passing.watch(TargetResume.prototype, 'answerPeers', 'AnswerPeers');
  passing.watch(TargetResume.prototype, 'resume', 'ResumeTarget');
  return passing;
}

const left = (): string[] =>
  (journal.get(REQUEST_UID, 'target')?.steps ?? []).map(({ name }) => name);
function request(): MigrationRequest {
  const found = api.peek(migrationRequests, NAMESPACE, 'move');
  if (!found) throw new Error('the test has put no request');
  return found;
}

it('a target that runs passes the table’s stages and states', async () => {
  const stages: Record<string, string | undefined> = {};
  const { restorer } = node as unknown as { restorer: Record<string, () => Promise<unknown>> };
  for (const name of ['prepareRestore', 'answerPeers', 'resumePod', 'thawRestored']) {
    const work = restorer[name] as (...all: unknown[]) => Promise<unknown>;
    restorer[name] = (...all: unknown[]) => {
      stages[name] = stage();
      return work(...all);
    };
  }
  const passing = watchEffects();
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
  await resumeGate();
  await runs();
  expect(stages).toEqual({
    prepareRestore: stageOf('StartRestore'),
    answerPeers: stageOf('AnswerPeers'),
    resumePod: stageOf('ResumeTarget'),
    thawRestored: stageOf('ResumeTarget'),
  });
  expect(stage()).toBe(stageOf('ResumeTarget', -1));
  expect(published()).toEqual([
    ...waiting,
    ...states('StartRestore', 'ProposeCommit', 'AnswerPeers', 'ResumeTarget'),
  ]);
  const passed = ['StartRestore', 'ProposeCommit', 'AnswerPeers', 'ResumeTarget'] as const;
  passing.expect(passed.flatMap((effect) => rowOf(effect) ?? []));
});

it('a target leaves the steps of the report in its journal that the rows name', async () => {
  put();
  await recordPreparation(journal, { kind: 'MigrationRequest', request: request() }, false);
  const timed = rows.filter((row) => row.report && !row.given?.decision);
  const named = (state: string): readonly string[] =>
    timed.find((row) => row.effect === undefined && both<string>(row.state).includes(state))
      ?.report ?? [];
  expect(left()).toEqual(named('Preparing'));
  const created = create();
  await run();
  expect(left()).toEqual(named('AtCreateGate'));
  await target.received(request(), microTimestamp(), microTimestamp());
  expect(left().at(-1)).toBe(named('Receiving')[0]);
  await images();
  await run();
  await created;
  expect(left().at(-1)).toBe(rowOf('StartRestore')?.report?.[0]);
  await resumeGate();
  await runs();
  const committed = rows.filter((row) => row.report && row.given?.decision);
  const inOrder = [...timed, ...committed].flatMap(({ report }) => report ?? []);
  expect(left()).toEqual([...new Set(inOrder)]);
  // CRIU's row names what the plugin has timed: the restore until the gate, and the memory's registration.
  expect(named('Restoring')).toEqual(['restore', 'register']);
});

it('a target that is torn down ends as the table says', async () => {
  await toResumeGate();
  const passing = watchEffects();
  record('Aborted');
  await runs();
  expect(stage()).toBe(stageOf('TearDownTarget'));
  expect(published().at(-1)).toBe(both(rowOf('TearDownTarget')?.state)[0]);
  passing.expect([rowOf('TearDownTarget') ?? []].flat());
});
