// SPDX-License-Identifier: Apache-2.0
// Debian's perftest, unmodified, one end moved in mid-run: both ends exit 0.
import { expect, type Case, type Context } from '../src/case.ts';
import { PerftestPair, type Side } from '../src/players.ts';
import { seconds } from '../src/wait.ts';

/** Own time of the test: longer than preparing and moving take on an emulated node. */
const DURATION_S = 110;

async function run(c: Context, test: string, qps: number, side: Side): Promise<void> {
  const pair = new PerftestPair(c, test, qps, DURATION_S);
  await pair.begin();
  await seconds(5);
  await pair.move(side);
  const result = await pair.finish(side);
  c.tell(`  ${test} ${qps} QP: client ${result.clientExit}, server ${result.serverExit}`);
  const last = c.facts.moves.at(-1);
  expect((last?.objects.qp ?? 0) >= qps, `only ${last?.objects.qp} queue pairs were moved`);
}

export const cases: readonly Case[] = ['write', 'read', 'send', 'atomic'].flatMap((kind) =>
  [1, 8].flatMap((qps) =>
    (['client', 'server'] as const).map((side) => ({
      name: `perftest-${kind}-${qps}qp-${side}`,
      promise: `ib_${kind}_bw with ${qps} QP survives a move of its ${side}: both ends exit 0`,
      inTest: kind === 'write' && qps === 1 && side === 'client',
      run: (c: Context) => run(c, `ib_${kind}_bw`, qps, side),
    })),
  ),
);
