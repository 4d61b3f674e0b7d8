// SPDX-License-Identifier: Apache-2.0
// Debian's perftest, unmodified: one endpoint moves while it runs, and both exit with 0.
import { expect, type Case, type CaseContext } from '../src/case.ts';
import type { Endpoint } from '../src/pair.ts';
import { PerftestPair } from '../src/perftest-pair.ts';
import { RUN_SECONDS } from '../src/run-time.ts';
import { sleepSeconds } from '../src/wait.ts';

async function run(
  context: CaseContext,
  test: string,
  qps: number,
  endpoint: Endpoint,
): Promise<void> {
  const pair = new PerftestPair(context, test, qps, RUN_SECONDS);
  await pair.start();
  await sleepSeconds(5);
  await pair.move(endpoint);
  await pair.waitForTraffic();
  const result = await pair.waitForResult(endpoint);
  context.log(`  ${test} ${qps} QP: client ${result.clientExit}, server ${result.serverExit}`);
  const last = context.results.moves.at(-1);
  expect((last?.objects.qp ?? 0) >= qps, `only ${last?.objects.qp} queue pairs were moved`);
}

export const cases: readonly Case[] = ['write', 'read', 'send', 'atomic'].flatMap((kind) =>
  [1, 8].flatMap((qps) =>
    (['client', 'server'] as const).map((endpoint) => ({
      name: `perftest-${kind}-${qps}qp-${endpoint}`,
      promise: `ib_${kind}_bw with ${qps} QP survives a move of its ${endpoint}: traffic goes on at both ends, and both exit with 0.`,
      inTest: kind === 'write' && qps === 1 && endpoint === 'client',
      run: (context: CaseContext) => run(context, `ib_${kind}_bw`, qps, endpoint),
    })),
  ),
);
