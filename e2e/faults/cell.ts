// SPDX-License-Identifier: Apache-2.0
// One cell of the matrix: a ledger pair, a move of its server, one failure at one step, and who runs in the end.
import { expect, type Case, type Context } from '../src/case.ts';
import { balanced } from '../src/checks.ts';
import { onNode } from '../src/lab.ts';
import { requestMove } from '../src/move.ts';
import { LedgerPair } from '../src/players.ts';
import { podNames, podStatus } from '../src/pods.ts';
import { ended, migration, read } from '../src/requests.ts';
import { until } from '../src/wait.ts';
import type { Cell, Runner } from './report.ts';
import { arm, disarm, tripped, type Step } from './steps.ts';
import type { Victim } from './victims.ts';

/** The agent waits that long at the step: the harm is done well within. */
const WINDOW_MS = 5000;
/** A node that was reset takes minutes to come back under emulation. */
const SETTLE_S = 600;

/** Who may run after that failure at that step. */
export function expectedRunners(victim: Victim, step: Step): Runner[] {
  const decided = step.name === 'decided';
  if (victim.loses === 'target') return decided ? ['none'] : ['source'];
  if (victim.loses === 'source') return decided ? ['target'] : ['none', 'target'];
  if (decided) return victim.name === 'target-criu' ? ['none', 'target'] : ['target'];
  return ['source', 'target'];
}

async function peerErrors(pair: LedgerPair): Promise<number> {
  const line =
    'pid=$(pgrep -f "[l]edger client" | head -1) && nsenter -t "$pid" -n rdma -j statistic show';
  const links = JSON.parse(await onNode(pair.nodes.client, line)) as Record<string, unknown>[];
  const fields = ['retry_exceeded_err', 'retry_rnr_exceeded_err', 'send_err'];
  return links.reduce(
    (sum, link) => sum + fields.reduce((n, field) => n + Number(link[field] ?? 0), 0),
    0,
  );
}

/** Tasks of the ledger's server on both nodes: frozen ones count too, for nothing may be left of the other copy. */
async function copies(nodes: readonly string[]): Promise<number> {
  const counts = await Promise.all(
    nodes.map((node) => onNode(node, 'pgrep -c -f "^[l]edger server" || true').catch(() => '0')),
  );
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

async function runner(c: Context, source: string): Promise<Runner> {
  const running: Runner[] = [];
  for (const name of await podNames(c.namespace)) {
    if (!name.startsWith('ledger-server')) continue;
    const status = await podStatus(c.namespace, name);
    if (status.ready && status.exitCode === undefined)
      running.push(name === source ? 'source' : 'target');
  }
  expect(running.length <= 1, `two copies run: ${running.join(', ')}`);
  return running[0] ?? 'none';
}

async function play(c: Context, victim: Victim, step: Step): Promise<Cell> {
  const pair = new LedgerPair(c, { rate: 120 });
  await pair.begin();
  await pair.progress('client', 200);
  const { server } = pair.pods;
  const [source, target] = [pair.nodes.server, pair.nodes.client];
  const before = await peerErrors(pair);
  const waiting = step.role === 'source' ? source : target;
  await arm(waiting, [step.point], `delay:${WINDOW_MS}`);
  const name = await requestMove({ namespace: c.namespace, pod: server, to: target });
  await tripped(waiting, step.point, 180);

  const started = Date.now();
  c.tell(`  ${name} is at ${step.name}: ${victim.name} fails`);
  const targetUid = async (): Promise<string> => {
    const { status } = await read(migration, c.namespace, name);
    return status?.target?.podUID ?? '';
  };
  const undo = await victim.harm({ source, target, targetUid });
  await undo();
  await ended(migration, { namespace: c.namespace, name, within: SETTLE_S }, c.tell);

  const expected = expectedRunners(victim, step);
  const found = await runner(c, server);
  const cell = { victim: victim.name, step: step.name, expected, runner: found };
  expect(expected.includes(found), `${found} runs, not ${expected.join(' or ')}`);
  if (found === 'none' || victim.loses === 'target') {
    const settleMs = Date.now() - started;
    return { ...cell, lost: 0, duplicated: 0, peerErrors: 0, settleMs };
  }
  await pair.progress('client', 200);
  const settleMs = Date.now() - started;
  await until('one copy is left', { within: 60 }, async () =>
    (await copies(c.nodes)) === 1 ? true : undefined,
  );
  const errors = (await peerErrors(pair)) - before;
  pair.follow('server', found === 'source' ? server : await targetName(c, server));
  c.tell(`  ${found} runs after ${settleMs} ms`);
  const { lost, duplicated } = await balanced(pair, c.tell);
  expect(errors === 0, `the peer's device counted ${errors} errors`);
  return { ...cell, lost, duplicated, peerErrors: errors, settleMs };
}

async function targetName(c: Context, source: string): Promise<string> {
  const names = await podNames(c.namespace);
  return names.find((name) => name.startsWith('ledger-server') && name !== source) ?? source;
}

/** @param done takes what came out of a cell that held */
export function faultCase(victim: Victim, step: Step, done: (cell: Cell) => void): Case {
  return {
    name: `fault-${victim.name}-${step.name}`,
    promise: `${victim.name} fails at ${step.name}: exactly one copy runs in the end, nothing is lost`,
    async run(c) {
      try {
        done(await play(c, victim, step));
      } finally {
        await disarm(c.nodes);
      }
    },
  };
}
