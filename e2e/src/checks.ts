// SPDX-License-Identifier: Apache-2.0
// What more than one case expects.
import { expect, type Context } from './case.ts';
import { requestMove, type MoveOptions } from './move.ts';
import type { LedgerPair, Side } from './players.ts';
import { podNames, podStatus, type PodStatus } from './pods.ts';
import { isClean, type LedgerResult } from './report.ts';
import { ended, eventsOf, migration, summary } from './requests.ts';
import { until } from './wait.ts';

/** One side is told to end: nothing was lost, repeated, changed or reordered, and both sides say so. */
export async function balanced(
  pair: LedgerPair,
  tell: (line: string) => void,
  stop: Side = 'client',
): Promise<LedgerResult> {
  await pair.stop(stop);
  const { result, exits } = await pair.verdict();
  tell(`  ${JSON.stringify(result)}`);
  expect(isClean(result), `the ledger found ${JSON.stringify(result)}`);
  expect(exits.client === 0 && exits.server === 0, `exits ${JSON.stringify(exits)}`);
  return result;
}

/** The pair goes on first: the client completes that many operations more. */
export async function wentOn(c: Context, pair: LedgerPair, operations = 200): Promise<void> {
  await pair.progress('client', operations);
  await balanced(pair, c.tell);
}

/** A pod is ready, where it was, and has not been started again. */
export async function untouched(namespace: string, before: PodStatus): Promise<void> {
  const after = await podStatus(namespace, before.name);
  expect(
    after.ready && after.node === before.node && after.restarts === before.restarts,
    `the pod was touched: ${JSON.stringify(after)}`,
  );
}

/** The namespace's pods are those again that were there before a move: nothing is left of its target. */
export async function targetIsGone(namespace: string, before: readonly string[]): Promise<void> {
  await until('the target is gone', { within: 120 }, async () =>
    (await podNames(namespace)).join() === before.join() ? true : undefined,
  );
}

/** Requests a move that has to fail. The source and nothing else is left. */
export async function notMoved(
  c: Context,
  o: Omit<MoveOptions, 'namespace'> & { reason: string },
): Promise<void> {
  const { namespace } = c;
  const before = await podStatus(namespace, o.pod);
  const pods = await podNames(namespace);
  const { reason, ...move } = o;
  const name = await requestMove({ ...move, namespace });
  const request = await ended(migration, { namespace, name }, c.tell);
  const end = summary(request);
  expect(end?.status === 'False', `the move did not fail: ${JSON.stringify(end)}`);
  c.tell(`  ${end.reason}: ${end.message}`);
  expect(end.reason === reason, `reason ${end.reason}, not ${reason}`);
  expect(
    request.status?.decision?.outcome !== 'Committed',
    `decision ${JSON.stringify(request.status?.decision)}`,
  );
  await untouched(namespace, before);
  await targetIsGone(namespace, pods);
  await until('an event tells the reason', { within: 30 }, async () =>
    (await eventsOf(namespace, name)).some((e) => e.startsWith(`${end.reason}:`))
      ? true
      : undefined,
  );
}

/** The numbers that stand alone on a line of a pod's log. */
export const numbers = (log: string): number[] =>
  log
    .split('\n')
    .filter((l) => /^\d+$/.test(l))
    .map(Number);
