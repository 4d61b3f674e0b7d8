// SPDX-License-Identifier: Apache-2.0
// The matrix: every failure at every step at which it makes sense. Cells share a namespace and, as long as it lives, one
// ledger pair, whose books are closed at the end.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { collectArtefacts } from '../src/artefacts.ts';
import { artefactsDir, PromiseBrokenError, type Case, type CaseContext } from '../src/case.ts';
import { expectBalanced } from '../src/checks.ts';
import { kubectl, onNode } from '../src/lab.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import { replaceCrashedPods } from '../src/sealift.ts';
import { until } from '../src/wait.ts';
import { countCopies, runCell } from './cell.ts';
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
async function waitForAgents(context: CaseContext): Promise<void> {
  for (const node of context.nodes) {
    await until(`the agent of ${node} listens`, { within: 400, every: 5 }, () =>
      onNode(node, 'test -S /run/sealift/agent.sock && echo up'),
    );
  }
}

export interface Cell {
  readonly name: string;
  readonly inTest: boolean;
  readonly promise: string;
  readonly victim: Victim;
  readonly step: Step;
}

export const cells: readonly Cell[] = victims.flatMap((victim) =>
  steps
    .filter((step) => victim.steps?.includes(step.name) ?? true)
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
  cases(chosen: readonly Cell[]): Case[] {
    const groups = Map.groupBy(chosen, ({ victim }) => victim.loses ?? 'nothing');
    return [...groups].map(([lost, own]) => ({
      name: `faults-lose-${lost}`,
      promise: `in each of ${own.length} cells one copy runs in the end if one can, and nothing is lost`,
      run: (context) => this.#runCells(context, own),
    }));
  }

  get hasResults(): boolean {
    return this.#report.cells.length > 0;
  }

  /** What came out, as a table. */
  table(): string {
    const names = steps.map((step) => step.name);
    return faultTable(this.#report, names);
  }

  /** After each cell: a run takes hours, and may be ended before its end. */
  async #writeReport(): Promise<void> {
    await mkdir(dirname(REPORT), { recursive: true });
    const report = FaultReport.parse(this.#report);
    await writeFile(REPORT, `${JSON.stringify(report, null, 2)}\n`);
  }

  async #runCells(context: CaseContext, own: readonly Cell[]): Promise<void> {
    const failed: string[] = [];
    let pair: LedgerPair | undefined;
    for (const { name, victim, step } of own) {
      context.log(`  -- ${name}`);
      try {
        await waitForAgents(context);
        await replaceCrashedPods();
        if (pair && !outlives(pair, victim)) {
          await expectBalanced(pair, context.log);
          await removePods(context);
          pair = undefined;
        }
        pair ??= await startPair(context, victim);
        const { cell, abort } = await runCell(context, pair, victim, step);
        this.#report.cells.push(cell);
        if (abort) this.#report.aborts.push(abort);
        await this.#writeReport();
        if (cell.runner === 'none') {
          await removePods(context);
          pair = undefined;
        }
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        context.log(`  FAILED ${name}: ${why}`);
        failed.push(`${name}: ${why.split('\n')[0]}`);
        await collectArtefacts(artefactsDir(name), [context.namespace]);
        await removePods(context);
        pair = undefined;
      } finally {
        await disarm(context.nodes);
      }
    }
    if (pair) await expectBalanced(pair, context.log);
    if (failed.length > 0) throw new PromiseBrokenError(failed.join('\n'));
  }
}

/** A pair whose client outlives the victim; its own sandboxes are on the disk, as those of a pod are after half a minute. */
async function startPair(context: CaseContext, victim: Victim): Promise<LedgerPair> {
  // Copies are counted by the ledger's name: one that another case has left would be taken for a second one.
  await until('the nodes are free of ledgers of other cases', { within: 60, every: 2 }, async () =>
    (await countCopies(context.nodes)) === 0 ? true : undefined,
  );
  const pair = new LedgerPair(context, {
    rate: 120,
    // A kubelet makes no second sandbox for a pod that never restarts, not even after a reset.
    ...(victim.loses === 'target' && { clientOnServerNode: true, serverRestart: 'OnFailure' }),
  });
  await pair.start();
  await pair.waitForOperations('client', 100);
  if (victim.loses) for (const node of context.nodes) await onNode(node, 'sync');
  return pair;
}

/** Whether the node that will be lost is not the client's: the server may have moved there, or away from it. */
function outlives({ nodes }: LedgerPair, { loses }: Victim): boolean {
  if (loses === undefined) return true;
  return (nodes.client === nodes.server) === (loses === 'target');
}

/** What is left of a pair that cannot go on. */
async function removePods(context: CaseContext): Promise<void> {
  for (const kind of ['mreq', 'pods'])
    await kubectl(
      '-n',
      context.namespace,
      'delete',
      kind,
      '--all',
      '--timeout=240s',
      '--grace-period=1',
    ).catch((error: unknown) => context.log(`  ${String(error).slice(0, 300)}`));
}
