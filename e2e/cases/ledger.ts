// SPDX-License-Identifier: Apache-2.0
// The ledger accounts for every operation over one and three moves; and it notices faults that are injected into it.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import { expectBalanced } from '../src/checks.ts';
import { LedgerPair, type LedgerOptions } from '../src/ledger-pair.ts';
import type { Endpoint } from '../src/pair.ts';

const OPERATIONS = 10_000;

async function threeMoves(context: CaseContext, endpoint: Endpoint): Promise<void> {
  const pair = new LedgerPair(context, { qps: 2, rate: 200 });
  await pair.start();
  for (let n = 1; n <= 3; n++) {
    await pair.waitForOperations(endpoint, OPERATIONS / 8);
    context.log(`  move ${n} of 3`);
    await pair.move(endpoint);
  }
  await pair.waitForOperations(endpoint, OPERATIONS / 8);
  const have = (await pair.operations('client')) + (await pair.operations('server'));
  if (have < OPERATIONS) await pair.waitForOperations(endpoint, (OPERATIONS - have) / 2, 600);
  const result = await expectBalanced(pair, context.log);
  expect(result.operations >= OPERATIONS, `only ${result.operations} operations`);
}

async function oneMove(context: CaseContext): Promise<void> {
  const pair = new LedgerPair(context, { qps: 2, rate: 150 });
  await pair.start();
  await pair.waitForOperations('client', 300);
  await pair.move('client');
  await pair.waitForOperations('client', 300);
  await expectBalanced(pair, context.log, 'server');
}

async function thereAndBack(context: CaseContext): Promise<void> {
  const pair = new LedgerPair(context, { qps: 2, rate: 120 });
  await pair.start();
  for (const way of ['there', 'back']) {
    await pair.waitForOperations('client', 300);
    context.log(`  ${way}`);
    await pair.move('client');
  }
  await pair.waitForOperations('client', 300);
  const result = await expectBalanced(pair, context.log, 'server');
  expect(result.operations > 1200, `only ${result.operations} operations`);
}

/** Either end moves while `operations` more are done between the moves. */
async function movesOfEither(
  context: CaseContext,
  options: LedgerOptions,
  operations: number,
): Promise<void> {
  const pair = new LedgerPair(context, options);
  await pair.start();
  for (const endpoint of ['client', 'server', 'client'] as const) {
    await pair.waitForOperations(endpoint, operations);
    await pair.move(endpoint);
  }
  await pair.waitForOperations('server', operations);
  await expectBalanced(pair, context.log);
}

/** Messages that come in at once take requests of one queue, on either end. */
const sharedReceiveQueue = { qps: 4, rate: 200, extraArguments: ['--srq'] };
/** Datagrams beside the operations, with a queue pair and an address handle of their own. */
const datagrams = { rate: 150, extraArguments: ['--datagrams'] };

async function injectFault(context: CaseContext, fault: string): Promise<void> {
  const pair = new LedgerPair(context, { rate: 100, inject: { endpoint: 'client', fault } });
  await pair.start();
  await pair.waitForOperations('client', 300);
  await pair.stop('client');
  const { result, exits } = await pair.waitForVerdict();
  const field = {
    lose: 'lost',
    duplicate: 'duplicated',
    corrupt: 'corrupted',
    reorder: 'reordered',
  }[fault] as keyof typeof result;
  expect(result[field] > 0, `${fault} was not noticed: ${JSON.stringify(result)}`);
  expect(exits.client === 1 && exits.server === 1, `exits ${JSON.stringify(exits)}, not 1`);
}

export const cases: readonly Case[] = [
  {
    name: 'ledger-one-move',
    promise: 'A move loses, repeats, corrupts and reorders no operation.',
    inTest: true,
    run: oneMove,
  },
  {
    name: 'ledger-there-and-back',
    promise:
      'A pod that moves to another node and back loses, repeats, corrupts and reorders nothing.',
    run: thereAndBack,
  },
  ...(['client', 'server'] as const).map((endpoint) => ({
    name: `ledger-three-moves-${endpoint}`,
    promise: `${OPERATIONS} operations over three moves of the ${endpoint}, there and back, are all accounted for.`,
    run: (context: CaseContext) => threeMoves(context, endpoint),
  })),
  {
    name: 'ledger-shared-receive-queue',
    promise:
      'Four queue pairs that share a receive queue lose, repeat, corrupt and reorder no operation over three moves, of either end.',
    run: (context: CaseContext) => movesOfEither(context, sharedReceiveQueue, 600),
  },
  {
    name: 'ledger-datagrams',
    promise:
      'Datagrams of a UD queue pair come once and whole, and go on, over three moves, of either end.',
    run: (context: CaseContext) => movesOfEither(context, datagrams, 400),
  },
  ...['lose', 'duplicate', 'corrupt', 'reorder'].map((fault) => ({
    name: `ledger-inject-${fault}`,
    promise: `The ledger reports an injected fault: ${fault}.`,
    inTest: fault === 'lose',
    run: (context: CaseContext) => injectFault(context, fault),
  })),
];
