// SPDX-License-Identifier: Apache-2.0
// Expectations that several cases share.
import { expect, type CaseContext } from './case.ts';
import { requestMove, type MoveOptions } from './move.ts';
import type { LedgerPair } from './ledger-pair.ts';
import type { Endpoint } from './pair.ts';
import { podNames, podStatus, type PodStatus } from './pods.ts';
import { isClean, type LedgerResult } from './report.ts';
import { waitUntilEnded, eventsOf, migration, succeededCondition } from './requests.ts';
import { until } from './wait.ts';

/** Stops an endpoint. Both must report that no operation was lost, repeated, corrupted or reordered. */
export async function expectBalanced(
  pair: LedgerPair,
  log: (line: string) => void,
  stop: Endpoint = 'client',
): Promise<LedgerResult> {
  await pair.stop(stop);
  const { result, exits } = await pair.waitForVerdict();
  log(`  ${JSON.stringify(result)}`);
  expect(isClean(result), `the ledger found ${JSON.stringify(result)}`);
  expect(exits.client === 0 && exits.server === 0, `exits ${JSON.stringify(exits)}`);
  return result;
}

/** The client completes that many operations more; then the ledger must balance. */
export async function expectContinues(
  context: CaseContext,
  pair: LedgerPair,
  operations = 200,
): Promise<void> {
  await pair.waitForOperations('client', operations);
  await expectBalanced(pair, context.log);
}

/** The pod is ready, on the same node, and no container of it was restarted. */
export async function expectUntouched(namespace: string, before: PodStatus): Promise<void> {
  const after = await podStatus(namespace, before.name);
  expect(
    after.ready && after.node === before.node && after.restarts === before.restarts,
    `the pod was touched: ${JSON.stringify(after)}`,
  );
}

/** Waits until the namespace has the same pods as before the move. */
export async function waitUntilTargetGone(
  namespace: string,
  before: readonly string[],
): Promise<void> {
  await until('the target is gone', { within: 120 }, async () =>
    (await podNames(namespace)).join() === before.join() ? true : undefined,
  );
}

/** Requests a move that has to fail. The source must be untouched, and the target must be gone. */
export async function expectMoveFails(
  context: CaseContext,
  o: Omit<MoveOptions, 'namespace'> & { reason: string },
): Promise<void> {
  const { namespace } = context;
  const before = await podStatus(namespace, o.pod);
  const pods = await podNames(namespace);
  const { reason, ...move } = o;
  const name = await requestMove({ ...move, namespace });
  const request = await waitUntilEnded(migration, { namespace, name }, context.log);
  const end = succeededCondition(request);
  expect(end?.status === 'False', `the move did not fail: ${JSON.stringify(end)}`);
  context.log(`  ${end.reason}: ${end.message}`);
  expect(end.reason === reason, `reason ${end.reason}, not ${reason}`);
  expect(
    request.status?.decision?.outcome !== 'Committed',
    `decision ${JSON.stringify(request.status?.decision)}`,
  );
  await expectUntouched(namespace, before);
  await waitUntilTargetGone(namespace, pods);
  await until('an Event has the reason', { within: 30 }, async () =>
    (await eventsOf(namespace, name)).some((e) => e.startsWith(`${end.reason}:`))
      ? true
      : undefined,
  );
}

/** The numbers that are alone on their line of a pod's log. */
export const numbersIn = (log: string): number[] =>
  log
    .split('\n')
    .filter((l) => /^\d+$/.test(l))
    .map(Number);

interface Counting {
  /** Who counts, for people. */
  readonly name: string;
  /** What it has counted so far, from 0 on. */
  readonly numbers: () => Promise<number[]>;
  /** It has to count further than so many more. */
  readonly more: number;
  /** Seconds. */
  readonly within: number;
}

/** It counts on, without a gap and without a number twice. */
export async function expectCountsOn({ name, numbers, more, within }: Counting): Promise<void> {
  const from = (await numbers()).length;
  const seen = await until(`${name} counts on from ${from}`, { within, every: 2 }, async () => {
    const now = await numbers();
    return now.length > from + more ? now : undefined;
  });
  const wrong = seen.findIndex((number, at) => number !== at);
  expect(wrong < 0, `${name} got ${seen[wrong]} in the place of ${wrong}`);
}
