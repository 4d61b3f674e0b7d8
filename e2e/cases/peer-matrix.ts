// SPDX-License-Identifier: Apache-2.0
// Peers with each rnr_retry and retry_cnt, without an annotation: the pod's own queue pairs say how long their peers retry
// (docs/adr/0018). One move of many queue pairs covers them; a case for each shows one alone.
import type { Case, CaseContext } from '../src/case.ts';
import { expectBalanced, expectContinues, expectMoveFails } from '../src/checks.ts';
import { LedgerPair } from '../src/ledger-pair.ts';

/** 17.2 s: one repetition outlasts any blackout, also on an emulated node. */
const TIMEOUT = 22;
const COUNTS = [0, 1, 2, 3, 4, 5, 6, 7];

type Outcome = 'moves' | 'gives up in time' | 'is refused';

/** With this timeout only a peer without any repetition depends on its rnr_retry. */
function outcomeOf(rnrRetry: number, retryCount: number): Outcome {
  if (retryCount > 0 || rnrRetry === 7) return 'moves';
  // Less than the 1200 ms that a move needs.
  return rnrRetry < 2 ? 'is refused' : 'gives up in time';
}

async function startPair(context: CaseContext, qps: number, more: string[]): Promise<LedgerPair> {
  const extraArguments = ['--timeout', String(TIMEOUT), ...more];
  const pair = new LedgerPair(context, { qps, rate: 60, size: 1024, extraArguments });
  await pair.start();
  await pair.waitForOperations('client', 200);
  return pair;
}

async function expectOutcome(
  context: CaseContext,
  pair: LedgerPair,
  outcome: Outcome,
): Promise<void> {
  if (outcome === 'moves') {
    await pair.move('server');
    return expectContinues(context, pair, 300);
  }
  const reason = outcome === 'is refused' ? 'PeerRetryBudgetTooShort' : 'PeerRetryBudgetExceeded';
  await expectMoveFails(context, { pod: pair.pods.server, to: context.nodes[1], reason });
  await pair.waitForOperations('client', 100);
  await expectBalanced(pair, context.log);
}

/** @param first the combination of the first queue pair: rnr_retry + 8 x retry_cnt */
const several =
  (qps: number, first: number, outcome: Outcome) =>
  async (context: CaseContext): Promise<void> => {
    const pair = await startPair(context, qps, ['--retry-matrix', String(first)]);
    await expectOutcome(context, pair, outcome);
  };

const one =
  (rnrRetry: number, retryCount: number) =>
  async (context: CaseContext): Promise<void> => {
    const more = ['--rnr-retry', String(rnrRetry), '--retry-count', String(retryCount)];
    const pair = await startPair(context, 1, more);
    await expectOutcome(context, pair, outcomeOf(rnrRetry, retryCount));
  };

export const cases: readonly Case[] = [
  {
    name: 'peer-matrix',
    promise:
      'Peers with each rnr_retry from 0 to 7 and each retry_cnt from 1 to 7, 56 queue pairs of one pod, see only a pause.',
    run: several(56, 8, 'moves'),
  },
  {
    name: 'peer-matrix-refused',
    promise:
      'Peers with rnr_retry 0 and 1 that repeat nothing see no error: the pod is not touched.',
    run: several(2, 0, 'is refused'),
  },
  {
    name: 'peer-matrix-gives-up',
    promise:
      'Peers with rnr_retry 6 that repeat nothing see no error, beside one with rnr_retry 7: a move that takes too long is aborted.',
    run: several(2, 6, 'gives up in time'),
  },
  ...COUNTS.flatMap((rnrRetry) =>
    COUNTS.map((retryCount) => ({
      name: `peer-rnr-${rnrRetry}-retry-${retryCount}`,
      promise: `A pod whose peer has rnr_retry ${rnrRetry} and retry_cnt ${retryCount} ${outcomeOf(rnrRetry, retryCount)}, and the peer sees no error.`,
      onlyByName: true as const,
      run: one(rnrRetry, retryCount),
    })),
  ),
];
