// SPDX-License-Identifier: Apache-2.0
// Every operation accounted for, over three moves; and the account itself is put to the test.
import { expect, type Case, type Context } from '../src/case.ts';
import { balanced } from '../src/checks.ts';
import { LedgerPair, type Side } from '../src/players.ts';

const OPERATIONS = 10_000;

async function threeMoves(c: Context, side: Side): Promise<void> {
  const pair = new LedgerPair(c, { qps: 2, rate: 200 });
  await pair.begin();
  for (let n = 1; n <= 3; n++) {
    await pair.progress(side, OPERATIONS / 8);
    c.tell(`  move ${n} of 3`);
    await pair.move(side);
  }
  await pair.progress(side, OPERATIONS / 8);
  const have = (await pair.operations('client')) + (await pair.operations('server'));
  if (have < OPERATIONS) await pair.progress(side, (OPERATIONS - have) / 2, 600);
  const result = await balanced(pair, c.tell);
  expect(result.operations >= OPERATIONS, `only ${result.operations} operations`);
}

async function oneMove(c: Context): Promise<void> {
  const pair = new LedgerPair(c, { qps: 2, rate: 150 });
  await pair.begin();
  await pair.progress('client', 300);
  await pair.move('client');
  await pair.progress('client', 300);
  await balanced(pair, c.tell, 'server');
}

async function injected(c: Context, fault: string): Promise<void> {
  const pair = new LedgerPair(c, { rate: 100, inject: { side: 'client', fault } });
  await pair.begin();
  await pair.progress('client', 300);
  await pair.stop('client');
  const { result, exits } = await pair.verdict();
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
    promise: 'no operation is lost, repeated, changed or reordered by a move',
    inTest: true,
    run: oneMove,
  },
  ...(['client', 'server'] as const).map((side) => ({
    name: `ledger-three-moves-${side}`,
    promise: `${OPERATIONS} operations over three moves of the ${side}, there and back: all accounted for`,
    run: (c: Context) => threeMoves(c, side),
  })),
  ...['lose', 'duplicate', 'corrupt', 'reorder'].map((fault) => ({
    name: `ledger-inject-${fault}`,
    promise: `the verifier fails when an operation is made to ${fault}`,
    inTest: fault === 'lose',
    run: (c: Context) => injected(c, fault),
  })),
];
