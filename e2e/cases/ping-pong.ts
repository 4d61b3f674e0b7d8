// SPDX-License-Identifier: Apache-2.0
// Many moves leave nothing behind on the nodes.
import type { Case, CaseContext } from '../src/case.ts';
import { expectContinues } from '../src/checks.ts';
import {
  countResources,
  agentFiles,
  grownSince,
  formatCounts,
  type Counts,
} from '../src/resource-counts.ts';
import { kubectl } from '../src/cluster.ts';
import { LedgerPair } from '../src/ledger-pair.ts';
import { podNames, podStatus } from '../src/pods.ts';
import { until } from '../src/wait.ts';

const MOVES = 50;

/** Waits for the kubelet's report that the pod runs: the operator does not move it before. */
async function moveServer(context: CaseContext, pair: LedgerPair): Promise<void> {
  await until('the pod runs', { within: 60 }, async () => {
    const { phase } = await podStatus(context.namespace, pair.pods.server);
    return phase === 'Running' ? true : undefined;
  });
  await pair.move('server');
}

/**
 * Counts when the requests are deleted: as long as a request exists, nodes keep a small record of its move.
 * @param others files of other cases' requests, which stay
 */
async function countWhenClean(context: CaseContext, others: readonly string[]): Promise<Counts> {
  await kubectl('-n', context.namespace, 'delete', 'mreq', '--all', '--timeout=300s');
  return until(
    'only the pair and the files of other requests are left',
    { within: 300, every: 5 },
    async () => {
      if ((await podNames(context.namespace)).length !== 2) return undefined;
      const left = (await agentFiles(context.nodes)).filter((file) => !others.includes(file));
      return left.length === 0 ? countResources(context.nodes) : undefined;
    },
  );
}

async function pingPong(context: CaseContext): Promise<void> {
  const others = await agentFiles(context.nodes);
  const pair = new LedgerPair(context, { rate: 100 });
  await pair.start();
  await pair.waitForOperations('client', 200);
  // The first two moves fill caches.
  for (let n = 0; n < 2; n++) await moveServer(context, pair);
  const before = await countWhenClean(context, others);
  context.log(`  ${formatCounts(before)}`);
  for (let n = 3; n <= MOVES; n++) {
    context.log(`  move ${n} of ${MOVES}`);
    await moveServer(context, pair);
  }
  let after = await countWhenClean(context, others);
  // The kernel frees deleted objects with a delay.
  await until('nothing has grown', { within: 180, every: 10 }, async () => {
    after = await countResources(context.nodes);
    return grownSince(before, after).length === 0 ? true : undefined;
  }).finally(() => context.log(`  ${formatCounts(after)}`));
  await expectContinues(context, pair);
}

export const cases: readonly Case[] = [
  {
    name: 'move-ping-pong',
    promise: `${MOVES} moves there and back leave nothing behind on the nodes.`,
    needs: ['shell'],
    run: pingPong,
  },
];
