// SPDX-License-Identifier: Apache-2.0
// What more than one case expects.
import { expect } from './case.ts';
import type { LedgerPair, Side } from './players.ts';
import { podNames, podStatus, type PodStatus } from './pods.ts';
import { isClean, type LedgerResult } from './report.ts';
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

/** The numbers that stand alone on a line of a pod's log. */
export const numbers = (log: string): number[] =>
  log
    .split('\n')
    .filter((l) => /^\d+$/.test(l))
    .map(Number);
