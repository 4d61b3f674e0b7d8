// SPDX-License-Identifier: Apache-2.0
// The matrix: every failure at every step at which it makes sense. Cells share a namespace and, as long as it lives, one
// ledger pair, whose books are closed at the end.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { collect } from '../src/artefacts.ts';
import { artefactsDir, NotHeldError, type Case, type Context } from '../src/case.ts';
import { balanced } from '../src/checks.ts';
import { kubectl, onNode } from '../src/lab.ts';
import { LedgerPair } from '../src/players.ts';
import { freshPods } from '../src/sealift.ts';
import { until } from '../src/wait.ts';
import { copies, playCell } from './cell.ts';
import { faultTable, FaultReport } from './report.ts';
import { disarm, steps, type Step } from './steps.ts';
import { victims, type Victim } from './victims.ts';

const REPORT = 'build/faults/report.json';

/** What `make test` plays: somebody changes his mind, and CRIU dies where it has the pod in its hands. */
const inTest = new Set([
  'fault-cancel-held',
  'fault-source-criu-dumping',
  'fault-target-criu-decided',
]);

/** A node that was reset comes back by itself; its pods still count as ready while it is not. */
async function up(c: Context): Promise<void> {
  for (const node of c.nodes) {
    await until(`the agent of ${node} listens`, { within: 400, every: 5 }, () =>
      onNode(node, 'test -S /run/sealift/agent.sock && echo up'),
    );
  }
}

export interface CellName {
  readonly name: string;
  readonly inTest: boolean;
  readonly promise: string;
  readonly victim: Victim;
  readonly step: Step;
}

export const cells: readonly CellName[] = victims.flatMap((victim) =>
  steps
    .filter((step) => victim.at?.includes(step.name) ?? true)
    .map((step) => ({ name: `fault-${victim.name}-${step.name}`, victim, step }))
    .map(({ name, victim, step }) => ({
      name,
      inTest: inTest.has(name),
      promise: `${victim.name} fails at ${step.name}: exactly one copy runs in the end, nothing is lost`,
      victim,
      step,
    })),
);

export class Matrix {
  readonly #report: FaultReport = { cells: [], aborts: [] };

  /** Those cells: all on one pair where the victim lets the nodes live, else on one whose client is beside. */
  cases(chosen: readonly CellName[]): Case[] {
    const groups = Map.groupBy(chosen, ({ victim }) => victim.loses ?? 'nothing');
    return [...groups].map(([lost, own]) => ({
      name: `faults-lose-${lost}`,
      promise: `in each of ${own.length} cells one copy runs in the end if one can, and nothing is lost`,
      run: (c) => this.#play(c, own),
    }));
  }

  get isPlayed(): boolean {
    return this.#report.cells.length > 0;
  }

  /** What came out, as a table. */
  table(): string {
    const names = steps.map((step) => step.name);
    return faultTable(this.#report, names);
  }

  /** After each cell: a run takes hours, and may be ended before its end. */
  async #write(): Promise<void> {
    await mkdir(dirname(REPORT), { recursive: true });
    const report = FaultReport.parse(this.#report);
    await writeFile(REPORT, `${JSON.stringify(report, null, 2)}\n`);
  }

  async #play(c: Context, own: readonly CellName[]): Promise<void> {
    const failed: string[] = [];
    let pair: LedgerPair | undefined;
    for (const { name, victim, step } of own) {
      c.tell(`  -- ${name}`);
      try {
        await up(c);
        await freshPods();
        if (pair && !outlives(pair, victim)) {
          await balanced(pair, c.tell);
          await removePods(c);
          pair = undefined;
        }
        pair ??= await begun(c, victim);
        const { cell, abort } = await playCell(c, pair, victim, step);
        this.#report.cells.push(cell);
        if (abort) this.#report.aborts.push(abort);
        await this.#write();
        if (cell.runner === 'none') {
          await removePods(c);
          pair = undefined;
        }
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        c.tell(`  FAILED ${name}: ${why}`);
        failed.push(`${name}: ${why.split('\n')[0]}`);
        await collect(artefactsDir(name), [c.namespace]);
        await removePods(c);
        pair = undefined;
      } finally {
        await disarm(c.nodes);
      }
    }
    if (pair) await balanced(pair, c.tell);
    if (failed.length > 0) throw new NotHeldError(failed.join('\n'));
  }
}

/** A pair whose client outlives the victim; its own sandboxes are on the disk, as those of a pod are after half a minute. */
async function begun(c: Context, victim: Victim): Promise<LedgerPair> {
  // Copies are counted by the ledger's name: one that another case has left would be taken for a second one.
  await until('the nodes are free of ledgers of other cases', { within: 60, every: 2 }, async () =>
    (await copies(c.nodes)) === 0 ? true : undefined,
  );
  const pair = new LedgerPair(c, {
    rate: 120,
    // A kubelet makes no second sandbox for a pod that never restarts, not even after a reset.
    ...(victim.loses === 'target' && { clientBeside: true, serverRestart: 'OnFailure' }),
  });
  await pair.begin();
  await pair.progress('client', 100);
  if (victim.loses) for (const node of c.nodes) await onNode(node, 'sync');
  return pair;
}

/** Whether the node that will be lost is not the client's: the server may have moved there, or away from it. */
function outlives({ nodes }: LedgerPair, { loses }: Victim): boolean {
  if (loses === undefined) return true;
  return (nodes.client === nodes.server) === (loses === 'target');
}

/** What is left of a pair that cannot go on. */
async function removePods(c: Context): Promise<void> {
  for (const kind of ['mreq', 'pods'])
    await kubectl(
      '-n',
      c.namespace,
      'delete',
      kind,
      '--all',
      '--timeout=240s',
      '--grace-period=1',
    ).catch((error: unknown) => c.tell(`  ${String(error).slice(0, 300)}`));
}
