// SPDX-License-Identifier: Apache-2.0
// The fault matrix: every failure at every step at which it makes sense. Cells share a namespace and, while it lives, one
// ledger pair, which has to balance at the end.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { labels } from '../../crds/src/index.ts';
import { collectArtefacts } from '../src/artefacts.ts';
import { artefactsDir, PromiseBrokenError, type Case, type CaseContext } from '../src/case.ts';
import { expectBalanced } from '../src/checks.ts';
import { kubectl, kubectlJson, onNode } from '../src/cluster.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import { replaceCrashedPods } from '../src/sealift.ts';
import { until } from '../src/wait.ts';
import { countCopies, runCell } from './cell.ts';
import { faultTable, FaultReport } from './report.ts';
import { disarm } from './arming.ts';
import { steps, type Step } from './steps.ts';
import { victims, type Victim } from './victims.ts';

const REPORT = 'build/faults/report.json';

/** `make test` runs these: a cancelled move, the death of CRIU while it dumps, and of the target's kubelet after the decision. */
const inTest = new Set([
  'fault-cancel-holding',
  'fault-source-criu-dumping',
  'fault-target-kubelet-committed',
]);

/**
 * After a reset a node's pods still count as ready while it boots, so this waits for the agents' sockets. An agent whose
 * containerd does not answer takes its node's label away: a request that names the node would be refused.
 */
async function waitForAgents(context: CaseContext): Promise<void> {
  const limits = { within: 400, every: 3 };
  for (const node of context.nodes) {
    await until(`the agent of ${node} listens`, limits, () =>
      onNode(node, 'test -S /run/sealift/agent.sock && echo up'),
    );
    await until(`${node} has the label of its driver`, limits, async () => {
      const { metadata } = (await kubectlJson('get', 'node', node)) as {
        metadata: { labels: Record<string, string> };
      };
      return metadata.labels[labels.driverAbi];
    });
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
      promise: `${victim.name} fails at ${step.name}: exactly one copy runs in the end, and no operation is lost.`,
      victim,
      step,
    })),
);

export class Matrix {
  readonly #report: FaultReport = { cells: [], aborts: [] };

  /** One case for all cells whose failure loses the same node, or none: they can share a pair. */
  cases(chosen: readonly Cell[]): Case[] {
    const groups = Map.groupBy(chosen, ({ victim }) => victim.loses ?? 'nothing');
    return [...groups].map(([lost, own]) => ({
      name: `faults-lose-${lost}`,
      promise: `In each of ${own.length} cells one copy runs in the end, if one can, and no operation is lost.`,
      needs: [...new Set(['shell' as const, ...own.flatMap((cell) => cell.victim.needs ?? [])])],
      run: (context) => this.#runCells(context, own),
    }));
  }

  get hasResults(): boolean {
    return this.#report.cells.length > 0;
  }

  /** The results as a table. */
  table(): string {
    const names = steps.map((step) => step.name);
    return faultTable(this.#report, names);
  }

  /** Called after each cell: a run takes hours, and may be interrupted. */
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
        await replaceCrashedPods(context.log);
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

/** Starts a pair whose client survives the failure. Syncs the disks: a reset must find the pods' sandboxes on them. */
async function startPair(context: CaseContext, victim: Victim): Promise<LedgerPair> {
  // Copies are counted by the name of the process: no ledger of another case may be left.
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

/** Whether the client survives the failure, with the server where it is now. */
function outlives({ nodes }: LedgerPair, { loses }: Victim): boolean {
  if (loses === undefined) return true;
  return (nodes.client === nodes.server) === (loses === 'target');
}

/** Removes the requests and pods of a pair that cannot be used any more. */
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
