// SPDX-License-Identifier: Apache-2.0
// One cell of the matrix: a move of the ledger's server, one failure at one step, and which copy runs in the end.
import { expect, type CaseContext } from '../src/case.ts';
import { onNode } from '../src/cluster.ts';
import { requestMove } from '../src/move.ts';
import type { LedgerPair } from '../src/ledger-pair.ts';
import { podNames, podStatus } from '../src/pods.ts';
import { waitUntilEnded, migration, readRequest, succeededCondition } from '../src/requests.ts';
import { NotReachedError, sleepSeconds, until } from '../src/wait.ts';
import { abortCost } from './abort-cost.ts';
import type { AbortResult, CellResult, RunningCopy } from './report.ts';
import { arm, waitUntilTripped } from './arming.ts';
import type { Step } from './steps.ts';
import type { Victim } from './victims.ts';

/** The agent waits that long at the step, longer than it takes to inject the failure. */
const DELAY_MS = 5000;
/** An emulated node takes minutes to boot. */
const END_TIMEOUT_S = 600;
/** The operator refuses to move a restarted pod before it has run for 20 s. */
const MIN_UPTIME_S = 25;
/** A kubelet reports late that a container is ready. */
const READY_TIMEOUT_S = 60;

/** Which copies may run in the end, after that failure at that step. */
export function expectedRunners(victim: Victim, step: Step): RunningCopy[] {
  const committed = step.name === 'committed';
  // A committed target that has not run is restored again when its node is back.
  if (victim.loses === 'target') return committed ? ['target'] : ['source'];
  if (victim.loses === 'source') return committed ? ['target'] : ['none', 'target'];
  if (committed) return ['target'];
  return victim.name === 'cancel' ? ['source'] : ['source', 'target'];
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

/** Tasks of the ledger's server on all nodes. Frozen ones count too: nothing may be left of the other copy. */
export async function countCopies(nodes: readonly string[]): Promise<number> {
  const counts = await Promise.all(
    nodes.map((node) => onNode(node, 'pgrep -c -f "^[l]edger server" || true').catch(() => '0')),
  );
  return counts.reduce((sum, count) => sum + Number(count), 0);
}

/** The pods of the ledger's server that run, according to their kubelets. */
async function runningServers(context: CaseContext): Promise<string[]> {
  const names: string[] = [];
  for (const name of await podNames(context.namespace)) {
    if (!name.startsWith('ledger-server')) continue;
    const status = await podStatus(context.namespace, name);
    if (status.ready && status.exitCode === undefined) names.push(name);
  }
  return names;
}

/** Waits until one pod of the ledger's server runs. @returns its name, or undefined if none runs in time */
async function waitForRunningServer(context: CaseContext): Promise<string | undefined> {
  let names: string[] = [];
  await until('one copy runs', { within: READY_TIMEOUT_S, every: 2 }, async () => {
    names = await runningServers(context);
    return names.length === 1 ? true : undefined;
  }).catch((error: unknown) => {
    if (!(error instanceof NotReachedError)) throw error;
  });
  expect(names.length <= 1, `two copies run: ${names.join(', ')}`);
  return names[0];
}

export interface Outcome {
  readonly cell: CellResult;
  readonly abort: AbortResult | undefined;
}

/**
 * Runs one cell on a running pair. Afterwards the pair knows where its server is.
 * @throws PromiseBrokenError, NotReachedError
 */
export async function runCell(
  context: CaseContext,
  pair: LedgerPair,
  victim: Victim,
  step: Step,
): Promise<Outcome> {
  const { namespace } = context;
  await pair.waitForOperations('client', 50);
  const { server } = pair.pods;
  if ((await podStatus(namespace, server)).restarts > 0) await sleepSeconds(MIN_UPTIME_S);
  const source = pair.nodes.server;
  const target = source === context.nodes[0] ? context.nodes[1] : context.nodes[0];
  const before = await peerErrors(pair);
  const ledger = await pair.errorsSoFar();
  const waiting = step.role === 'source' ? source : target;
  await arm(waiting, [step.point], `delay:${DELAY_MS}`);
  const request = await requestMove({ namespace, pod: server, to: target });
  await waitUntilTripped(waiting, step.point, 180);

  const started = Date.now();
  context.log(`  ${request} is at ${step.name}: ${victim.name} fails`);
  const targetUid = async (): Promise<string> => {
    const { status } = await readRequest(migration, namespace, request);
    return status?.target?.podUID ?? '';
  };
  const undo = await victim.inject({ namespace, request, source, target, targetUid });
  await undo();
  const end = await waitUntilEnded(
    migration,
    { namespace, name: request, within: END_TIMEOUT_S },
    context.log,
  );

  const expected = expectedRunners(victim, step);
  const name = await waitForRunningServer(context);
  const who: RunningCopy = name === undefined ? 'none' : name === server ? 'source' : 'target';
  const about = { victim: victim.name, step: step.name, expected, runner: who };
  expect(expected.includes(who), `${who} runs, not ${expected.join(' or ')}`);
  if (name === undefined) {
    const cell = { lost: 0, duplicated: 0, peerErrors: 0, settleMs: Date.now() - started };
    return { cell: { ...about, ...cell }, abort: undefined };
  }
  pair.follow('server', name, who === 'source' ? source : target);
  await pair.waitForOperations('client', 50);
  const settleMs = Date.now() - started;
  await until('one copy is left', { within: 120 }, async () =>
    (await countCopies(context.nodes)) === 1 ? true : undefined,
  );
  const errors = (await peerErrors(pair)) - before;
  const now = await pair.errorsSoFar();
  const lost = now.lost - ledger.lost;
  const duplicated = now.duplicated - ledger.duplicated;
  context.log(`  ${who} runs after ${settleMs} ms`);
  expect(errors === 0, `the peer's device has counted ${errors} errors`);
  expect(lost + duplicated === 0, `${lost} lost, ${duplicated} duplicated`);
  const pauseMs = abortCost(end);
  const aborted = end.status?.decision?.outcome === 'Aborted' && pauseMs !== undefined;
  const reason = succeededCondition(end)?.reason ?? '';
  return {
    cell: { ...about, lost, duplicated, peerErrors: errors, settleMs },
    abort: aborted ? { victim: victim.name, step: step.name, reason, pauseMs } : undefined,
  };
}
